/** Starts, finds and ends exporters: one for each VM that runs from a restore point. They outlive hyperd, so what is known of them is read
 *  from their folders each time. */

import { readdir, rm } from 'node:fs/promises';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { writeDurably } from '#platform/durable-file.ts';
import { startLasting } from '#platform/lasting-process.ts';
import { connectNbd } from '#platform/nbd/index.ts';
import { makePassable } from '#platform/qemu-access.ts';
import { isSurelyThere } from '../store/process-mark.ts';
import {
  type ExporterFolder,
  type ExporterStatus,
  type ExportOrder,
  exporterFolder,
  exporterStatusSchema,
  markSchema,
  readSmallFile,
} from './files.ts';

export interface Exporters {
  folder(operationId: string): ExporterFolder;
  /** Operations that a folder is there of. */
  list(): Promise<readonly string[]>;
  /** Begins before it waits for anything: one that is ended later is ended. Returns when it serves, whoever started it.
   *  @throws what it said when it could not begin, as repository_unreachable; unavailable when it says nothing */
  ensure(operationId: string, order: ExportOrder): Promise<void>;
  isThere(operationId: string): Promise<boolean>;
  /** What it says of itself; null = nothing yet. */
  status(operationId: string): Promise<ExporterStatus | null>;
  /** Reads a little through it. @throws when it cannot be read */
  probe(operationId: string, target: string, offsetBytes: number): Promise<void>;
  /** Ends it and removes its folder. */
  end(operationId: string): Promise<void>;
}

const MAIN = new URL('./main.ts', import.meta.url).pathname;
const READY_MS = 60_000;
const END_MS = 5_000;
const LOOK_MS = 25;
const PROBE_MS = 20_000;
const PROBE_BYTES = 512;

export function createExporters(
  root: string,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Exporters {
  const folder = (operationId: string) => exporterFolder(root, operationId);
  const starting = new Map<string, Promise<void>>();

  const mark = async (operationId: string) => {
    const found = await readSmallFile(folder(operationId).markPath, markSchema);
    return found !== null && isSurelyThere(found) ? found : null;
  };
  const isThere = async (operationId: string) => (await mark(operationId)) !== null;
  const status = (operationId: string) => readSmallFile(folder(operationId).statusPath, exporterStatusSchema);

  const start = async (operationId: string, order: ExportOrder) => {
    const files = folder(operationId);
    // The socket asks for QEMU's group besides.
    for (const path of [root, files.path]) await makePassable(path);
    await writeDurably(files.orderPath, `${JSON.stringify(order)}\n`);
    await rm(files.statusPath, { force: true });
    await startLasting({
      argv: [process.execPath, '--semi-space-growth-factor=1', MAIN, files.path],
      env: environment(),
      logPath: files.logPath,
      unit: `hyper-export-${operationId}-${Math.floor(clock.monotonicMs())}`,
    });
    const until = clock.monotonicMs() + READY_MS;
    while (!(await isThere(operationId))) {
      const problem = (await status(operationId))?.problem;
      if (problem) throw new AppError(problem.code, { detail: problem.detail });
      if (clock.monotonicMs() > until)
        throw new AppError('unavailable', {
          detail: 'The restore point is not served: its exporter does not begin.',
          hint: `Its log has the reason: \`${files.logPath}\`.`,
        });
      await clock.sleep(LOOK_MS);
    }
    log.info({ operation: operationId, point: order.pointId }, 'a restore point is served to a VM');
  };

  const begin = async (operationId: string, order: ExportOrder) => {
    if (!(await isThere(operationId))) await start(operationId, order);
  };

  return {
    folder,
    async list() {
      try {
        return await readdir(root);
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) return [];
        throw error;
      }
    },
    isThere,
    status,
    async ensure(operationId, order) {
      const work = starting.get(operationId) ?? begin(operationId, order).finally(() => starting.delete(operationId));
      starting.set(operationId, work);
      await work;
    },
    async probe(operationId, target, offsetBytes) {
      const connection = await connectNbd(
        { socketPath: folder(operationId).socketPath },
        { exportName: target, requestTimeoutMs: PROBE_MS },
      );
      try {
        const at = Math.max(0, Math.min(offsetBytes, connection.sizeBytes - PROBE_BYTES));
        await connection.read(at, Math.min(PROBE_BYTES, connection.sizeBytes));
      } finally {
        await connection.close();
      }
    },
    async end(operationId) {
      // How that went is told to who asked for it.
      await starting.get(operationId)?.catch(() => undefined);
      const files = folder(operationId);
      // One that is only just beginning ends by itself without it.
      await rm(files.orderPath, { force: true });
      const found = await mark(operationId);
      if (found !== null) {
        kill(found.pid, 'SIGTERM');
        const until = clock.monotonicMs() + END_MS;
        while (isSurelyThere(found) && clock.monotonicMs() < until) await clock.sleep(LOOK_MS);
        if (isSurelyThere(found)) kill(found.pid, 'SIGKILL');
      }
      await rm(files.path, { recursive: true, force: true });
    },
  };
}

function kill(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!hasErrno(error, 'ESRCH')) throw error;
  }
}

/** Nothing of ours but where programs and compiled code lie. */
function environment(): Readonly<Record<string, string>> {
  const kept: Record<string, string> = {
    MALLOC_ARENA_MAX: '1',
    MALLOC_MMAP_THRESHOLD_: String(2 ** 18),
    LC_ALL: 'C.UTF-8',
  };
  for (const name of ['PATH', 'HOME', 'NODE_COMPILE_CACHE']) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
