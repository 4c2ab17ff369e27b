/** A disk of 16 GiB of which 2 GiB are files of this machine. */

import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { GIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { chunksOf, DISK_BYTES, mixedDisk } from '../backup-store/disk.ts';

export const BIG_DISK_BYTES = 16 * GIB;
const COPIES = 3;

/** Makes it as qcow2. @returns its path */
export async function bigDisk(folder: string): Promise<string> {
  const part = await mixedDisk(folder);
  const raw = join(folder, 'big.raw');
  const path = join(folder, 'big.qcow2');
  {
    await using file = await open(raw, 'w');
    await file.truncate(BIG_DISK_BYTES);
    for (let copy = 0; copy < COPIES; copy += 1) {
      // Far from each other, so that there is room between.
      let at = copy * 4 * DISK_BYTES;
      for await (const chunk of chunksOf(part)) {
        const isZero = chunk.every((byte) => byte === 0);
        // No two chunks are alike, as in files that nobody copied.
        if (!isZero) {
          chunk.writeUInt32BE(copy, 8);
          await file.write(chunk, 0, chunk.length, at);
        }
        at += chunk.length;
      }
    }
  }
  await runChecked(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, path], { timeoutMs: 30 * 60_000 });
  await rm(raw);
  await rm(part);
  return path;
}
