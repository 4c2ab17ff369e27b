/** Writes disks of restore points into files. */

import { rm } from 'node:fs/promises';
import { asNoSpace } from '#features/vms/index.ts';
import { MIB } from '#kernel/units.ts';
import { createDiskFile, type DiskFile } from '#platform/disk-file/disk-file.ts';
import type { DiskImage, Repository } from './store/index.ts';

export interface WriteOrder {
  readonly repository: Pick<Repository, 'openDisk'>;
  readonly pointId: string;
  readonly target: string;
  /** Half-made file; what is there is written over. */
  readonly outPath: string;
  readonly format: 'qcow2' | 'raw';
  /** Whoever asked for it reads it at once. */
  readonly isReadNext?: boolean;
  readonly signal: AbortSignal;
  /** @param ratio 0 to 1 */
  onProgress(ratio: number): void;
}

const WINDOW_BYTES = MIB;
/** Windows on their way: enough that threads always have one to unpack while another is written. */
const AT_ONCE = 6;
/** Extents are asked for so far ahead. */
const STEP_BYTES = 2 ** 36;

/** Writes a disk as it was into a file, which is on its storage then. Every chunk is compared with its id before it is written.
 *  @throws point_damaged naming disk and offset; no_space; the signal's reason. No file is there then */
export async function writeDisk(order: WriteOrder): Promise<void> {
  const { repository, pointId, target, outPath, format, isReadNext = false, signal } = order;
  const disk = await repository.openDisk(pointId, target, { isReadOnce: true });
  try {
    const file = await createDiskFile(outPath, format, disk.sizeBytes, { isReadNext });
    try {
      await copyAll(disk, file, order);
      signal.throwIfAborted();
      await file.finish();
    } finally {
      await file.close();
    }
  } catch (error) {
    await rm(outPath, { force: true });
    throw asNoSpace(error);
  } finally {
    await disk.close();
  }
}

/** Nothing is on its way any more when it returns, however it went. */
async function copyAll(
  disk: DiskImage,
  file: Pick<DiskFile, 'write'>,
  { signal, onProgress }: Pick<WriteOrder, 'signal' | 'onProgress'>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const copy = async (at: number) => {
    const bytes = await disk.read(at, Math.min(WINDOW_BYTES, disk.sizeBytes - at));
    await file.write(at, bytes);
    disk.release?.(bytes);
  };
  try {
    for await (const at of windowsWithData(disk)) {
      signal.throwIfAborted();
      while (running.size >= AT_ONCE) await Promise.race(running);
      if (failures.length > 0) break;
      const work = copy(at)
        .catch((error: unknown) => void failures.push(error))
        .finally(() => running.delete(work));
      running.add(work);
      onProgress(at / disk.sizeBytes);
    }
  } finally {
    await Promise.all(running);
  }
  if (failures.length > 0) throw failures[0];
}

/** Where each window begins that is not all zeros, in order: chunks may have any size. */
async function* windowsWithData(disk: Pick<DiskImage, 'sizeBytes' | 'extents'>): AsyncGenerator<number> {
  let next = 0;
  for await (const { offsetBytes, lengthBytes } of dataOf(disk)) {
    const from = Math.max(next, Math.floor(offsetBytes / WINDOW_BYTES));
    next = Math.ceil((offsetBytes + lengthBytes) / WINDOW_BYTES);
    for (let window = from; window < next; window += 1) yield window * WINDOW_BYTES;
  }
}

async function* dataOf(disk: Pick<DiskImage, 'sizeBytes' | 'extents'>) {
  for (let step = 0; step < disk.sizeBytes; step += STEP_BYTES) {
    let offsetBytes = step;
    for (const { lengthBytes, isZero } of await disk.extents(step, Math.min(STEP_BYTES, disk.sizeBytes - step))) {
      if (!isZero) yield { offsetBytes, lengthBytes };
      offsetBytes += lengthBytes;
    }
  }
}

/** Bytes that a disk's file will take. */
export async function dataBytes(disk: Pick<DiskImage, 'sizeBytes' | 'extents'>): Promise<number> {
  let bytes = 0;
  for await (const { lengthBytes } of dataOf(disk)) bytes += lengthBytes;
  return bytes;
}
