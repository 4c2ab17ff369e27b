/** Whether all data of a restore point is in a disk, on its storage. That QEMU took the restore point out of the disk's header does not say
 *  so: QEMU (7.2) writes the header before the tables that it still has in memory, and a QEMU that dies then would take the data along. So
 *  the restore point is held until the file itself, as everybody else reads it, has a place for each piece of data. */

import { open } from 'node:fs/promises';
import { z } from 'zod';
import { runChecked } from '#platform/process.ts';
import type { DiskImage } from '../store/index.ts';

const WINDOW_BYTES = 2 ** 30;
const MAP_MS = 120_000;
/** A GiB in pieces of 64 KiB is 16384 lines. */
const MAP_MOST_BYTES = 16 * 2 ** 20;

const mapSchema = z.array(z.object({ start: z.number(), length: z.number(), present: z.boolean() }));

/** Bytes that the restore point has data in and the qcow2 file has nothing for. Of a disk in use it may be more than there is, never less.
 *  @param disk of the restore point @throws point_damaged, program_failed and what reading the repository does */
export async function missingBytes(
  path: string,
  disk: Pick<DiskImage, 'sizeBytes' | 'extents'>,
  signal: AbortSignal,
): Promise<number> {
  let missing = 0;
  for (let at = 0; at < disk.sizeBytes; at += WINDOW_BYTES) {
    const length = Math.min(WINDOW_BYTES, disk.sizeBytes - at);
    const gaps = (await mapOf(path, at, length, signal)).filter(({ present }) => !present);
    let start = at;
    for (const { lengthBytes, isZero } of await disk.extents(at, length)) {
      const end = start + lengthBytes;
      if (!isZero)
        for (const gap of gaps)
          missing += Math.max(0, Math.min(end, gap.start + gap.length) - Math.max(start, gap.start));
      start = end;
    }
  }
  return missing;
}

/** The parts of a range; none for what is behind the end of the disk. */
async function mapOf(path: string, start: number, length: number, signal: AbortSignal) {
  const argv = ['qemu-img', 'map', '-U', '-f', 'qcow2', '--output=json'];
  const range = [`--start-offset=${start}`, `--max-length=${length}`];
  const { stdout } = await runChecked([...argv, ...range, path], {
    timeoutMs: MAP_MS,
    maxOutputBytes: MAP_MOST_BYTES,
    signal,
  });
  return mapSchema.parse(JSON.parse(stdout));
}

/** Whatever anybody wrote to the file is on its storage afterwards. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
