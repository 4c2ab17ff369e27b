/** A disk of 16 GiB with up to 2 GiB of files of this machine, each of them once. */

import { open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { chunksOf, DISK_BYTES, mixedDisk, SOURCES } from '../backup-store/disk.ts';

export const BIG_DISK_BYTES = 16 * GIB;

/** Makes it as qcow2. @returns its path */
export async function bigDisk(folder: string): Promise<string> {
  const raw = join(folder, 'big.raw');
  const path = join(folder, 'big.qcow2');
  const libraries = (await entriesOf('/usr/lib')).filter((entry) => !SOURCES.includes(entry));
  const architecture = libraries.filter((entry) => entry.endsWith('-linux-gnu'));
  const parts = [
    SOURCES,
    libraries.filter((entry) => !architecture.includes(entry)),
    (await Promise.all(architecture.map(entriesOf))).flat(),
  ];
  {
    await using file = await open(raw, 'w');
    await file.truncate(BIG_DISK_BYTES);
    for (const [n, sources] of parts.entries()) {
      const part = await mixedDisk(folder, sources);
      // Far from each other, so that there is room between.
      let at = n * 4 * DISK_BYTES;
      for await (const chunk of chunksOf(part)) {
        if (!chunk.every((byte) => byte === 0)) await file.write(chunk, 0, chunk.length, at);
        at += chunk.length;
      }
      await rm(part);
    }
  }
  await runChecked(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, path], { timeoutMs: 30 * 60_000 });
  await rm(raw);
  return path;
}

async function entriesOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).map((name) => join(folder, name)).toSorted();
}
