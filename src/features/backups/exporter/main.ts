/** A process of its own that serves the disks of one restore point, read-only, while a VM runs from them: `node main.ts FOLDER`. It goes on
 *  when hyperd ends, keeps its restore point from being pruned, and ends when the file with its order is gone. It never writes to the
 *  repository. */

import { rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { backupErrors } from '#contract/backups.ts';
import { createQueue } from '#kernel/async.ts';
import { AppError, messageOf, registerErrors, toAppError } from '#kernel/errors.ts';
import { type NbdSource, serveNbd } from '#platform/nbd/index.ts';
import { giveToQemu } from '#platform/qemu-access.ts';
import { readKeyFile } from '../key-file.ts';
import { openRepository, type Repository } from '../store/index.ts';
import { ownProcessMark } from '../store/process-mark.ts';
import { type ExporterStatus, exporterFolder, exportOrderSchema, readSmallFile, writeSmallFile } from './files.ts';

const LOOK_MS = 2_000;
/** A lease that nobody renewed for two minutes belongs to nobody; one that was taken away is taken again by this. */
const PIN_MS = 60_000;

registerErrors(backupErrors);
const [, , path = ''] = process.argv;
const files = exporterFolder(dirname(path), basename(path));
let status: ExporterStatus = { failures: 0, problem: null };
const inOrder = createQueue();

try {
  await serve();
} catch (error) {
  const { code, message } = toAppError(error);
  process.stderr.write(`${messageOf(error)}\n`);
  await writeSmallFile(files.statusPath, {
    failures: 0,
    problem: { code, detail: message, target: null, offsetBytes: 0 },
  } satisfies ExporterStatus);
  process.exitCode = 1;
}

async function serve(): Promise<void> {
  const order = await readSmallFile(files.orderPath, exportOrderSchema);
  if (order === null) return;
  await requireRepository(order.repositoryFolder);
  const key = order.keyPath === null ? null : await readKeyFile(order.keyPath);
  const repository = await openRepository(order.repositoryFolder, key === null ? {} : { key });
  await using stack = new AsyncDisposableStack();
  const exports = new Map<string, NbdSource>();
  for (const target of order.targets) {
    const disk = await repository.openDisk(order.pointId, target);
    stack.defer(() => disk.close());
    exports.set(target, {
      sizeBytes: disk.sizeBytes,
      read: (offsetBytes, lengthBytes) =>
        told(order.repositoryFolder, target, offsetBytes, () => disk.read(offsetBytes, lengthBytes)),
      extents: (offsetBytes, lengthBytes) =>
        told(order.repositoryFolder, target, offsetBytes, () => disk.extents(offsetBytes, lengthBytes)),
    });
  }
  const server = await serveNbd({ socketPath: files.socketPath, exports });
  stack.defer(() => server.close());
  await giveToQemu(files.socketPath, order.socketGid === null ? null : { gid: order.socketGid }, 0o660);
  await writeSmallFile(files.statusPath, status);
  await writeSmallFile(files.markPath, ownProcessMark());
  stack.defer(() => rm(files.markPath, { force: true }));
  stack.defer(keepPinned(repository, order.pointId));
  await untilEnd();
}

/** Passes failures on and writes down what failed and where, so that hyperd can tell people. A repository that is not there at all would
 *  look like one in which every chunk is missing. */
async function told<Value>(
  folder: string,
  target: string,
  offsetBytes: number,
  work: () => Promise<Value>,
): Promise<Value> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = toAppError(
      await requireRepository(folder).then(
        () => error,
        (gone: unknown) => gone,
      ),
    );
    status = { failures: status.failures + 1, problem: { code, detail: message, target, offsetBytes } };
    await inOrder(() => writeSmallFile(files.statusPath, status));
    throw error;
  }
}

async function requireRepository(folder: string): Promise<void> {
  try {
    await stat(join(folder, 'repo.json'));
  } catch (cause) {
    throw new AppError('repository_unreachable', { detail: 'The repository is not in its folder.', cause });
  }
}

/** @returns ends it */
function keepPinned(repository: Repository, pointId: string): () => Promise<void> {
  let pin: Awaited<ReturnType<Repository['pin']>> | null = null;
  let renewing = Promise.resolve();
  const renew = async () => {
    try {
      const before = pin;
      pin = await repository.pin(pointId);
      await before?.release();
    } catch (error) {
      // Out of reach: what is read meanwhile fails too, and says so. The next time makes it good.
      process.stderr.write(`the restore point could not be pinned again: ${messageOf(error)}\n`);
    }
  };
  const timer = setInterval(() => {
    renewing = renewing.then(renew);
  }, PIN_MS);
  return async () => {
    clearInterval(timer);
    await renewing;
    await pin?.release();
  };
}

/** Resolves at SIGTERM, or when nobody needs it any more. */
function untilEnd(): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      stat(files.orderPath).catch(end);
    }, LOOK_MS);
    const end = () => {
      clearInterval(timer);
      resolve();
    };
    process.once('SIGTERM', end);
  });
}
