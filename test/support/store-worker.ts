/** A process that works on a repository of backups, to be killed: `store-worker.ts FOLDER SECOND DOES VM VERSION [KILL-AT MOMENT]`.
 *  DOES is `write` (a point, a prune, a check) or `repair` (objects are lost and fetched from SECOND). At the KILL-AT-th change of the file
 *  system it kills itself: before it, after it, or with half of what was to be written. Prints `published ID`, `removing ID`, `changes N`. */

import fs, { writeSync } from 'node:fs';
import fsp, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const STDOUT = 1;
const [folder = '', second = '', does = 'write', vm = '', version = '0', killAt = '0', moment = 'before'] =
  process.argv.slice(2);
let changes = 0;

/** True when this change is the one; with `before` it does not come back. */
function isTheLast(): boolean {
  changes += 1;
  if (changes !== Number(killAt)) return false;
  if (moment === 'before') die();
  return true;
}

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // The signal is there before the next instruction of JavaScript; this tells the compiler.
  throw new Error('killed');
}

function wrapped<Arguments extends readonly unknown[], Value>(
  work: (...args: Arguments) => Promise<Value>,
): (...args: Arguments) => Promise<Value> {
  return async (...args) => {
    const isLast = isTheLast();
    const value = await work(...args);
    if (isLast) die();
    return value;
  };
}

function wrapHandles(handle: FileHandle): void {
  const { writeFile, datasync, sync } = handle;
  Object.assign(handle, {
    writeFile: async (bytes: Uint8Array) => {
      const isLast = isTheLast();
      if (isLast && moment === 'half') {
        writeSync(handle.fd, bytes, 0, Math.floor(bytes.length / 2));
        die();
      }
      await writeFile.call(handle, bytes);
      if (isLast) die();
    },
    datasync: wrapped(() => datasync.call(handle)),
    sync: wrapped(() => sync.call(handle)),
  });
}

// Named imports of Node's own modules follow these after `syncBuiltinESMExports`.
const { open } = fsp;
fsp.open = async (...args) => {
  const isLast = isTheLast();
  const handle = await open(...args);
  if (isLast) die();
  wrapHandles(handle);
  return handle;
};
fsp.rename = wrapped(fsp.rename);
fsp.link = wrapped(fsp.link);
fsp.rm = wrapped(fsp.rm);
const { unlinkSync } = fs;
fs.unlinkSync = (path) => {
  const isLast = isTheLast();
  unlinkSync(path);
  if (isLast) die();
};
syncBuiltinESMExports();

const { openRepository } = await import('#features/backups/store/index.ts');
const { AppError } = await import('#kernel/errors.ts');
const { POINT_BYTES, rangeOf, writeVersion } = await import('./backup-points.ts');
const say = (text: string) => writeSync(STDOUT, `${text}\n`);

const repository = await openRepository(folder);
const points = await Array.fromAsync(repository.points(vm));
if (does === 'repair') {
  // Every third object is lost; what this costs is not counted.
  const names = await fsp.readdir(join(folder, 'chunks'), { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const [n, path] of files.sort().entries()) if ((n + Number(version)) % 3 === 0) unlinkSync(path);
  await repository.repair(await openRepository(second));
} else {
  const parent = points.at(-1)?.manifest ?? null;
  const history = parent?.op.split(',') ?? [];
  const isFull = history.length === 0 || history.length > 5;
  const range = rangeOf(Number(version), isFull);
  const writer = await repository.writer();
  const { id } = await writeVersion(writer, {
    vm,
    version: Number(version),
    sizeBytes: POINT_BYTES,
    first: range.first,
    count: range.count,
    parent: isFull ? undefined : parent?.id,
    op: [...(isFull ? [] : history), version].join(','),
  });
  say(`published ${id}`);
  await writer.close();
  const remove = points.slice(0, -2).map(({ pointId }) => pointId);
  for (const each of remove) say(`removing ${each}`);
  try {
    await repository.prune({ points: { remove }, graceMs: 0 });
    const report = await repository.check({ isDataRead: true });
    if (report.problemCount > 0) throw new Error(JSON.stringify(report.problems));
  } catch (error) {
    // Another process is at its upkeep: one that tells this is as it should be.
    if (!(error instanceof AppError) || error.code !== 'repository_locked') throw error;
  }
}
say(`changes ${changes}`);
