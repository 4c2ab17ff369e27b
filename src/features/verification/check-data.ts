/** Level 1: reads the bytes of a point again, each checked on its way, but for parts that were read under the same name not long ago. */

import { mapLimit } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import type { DiskPart, OpenPoint, PointImage } from './points.ts';

/** When parts were last read as a whole. */
export interface ReadParts {
  /** Null = never, or longer ago than counts. */
  readAt(partId: string): Date | null;
  /** Durable before it resolves. */
  wasRead(partId: string, at: Date): Promise<void>;
}

export interface DataReport {
  readonly state: 'good' | 'damaged';
  readonly checkedBytes: number;
  /** Of the part that was read longest ago; null for a point without data. */
  readonly checkedAt: Date | null;
  /** For people; names disk and place. */
  readonly problem: string | null;
}

const READ_BYTES = MIB;
const AT_ONCE = 4;

/** @throws what the repository fails with when it is not for damage; the signal's reason */
export async function checkData(
  point: OpenPoint,
  parts: ReadParts,
  options: { readonly signal: AbortSignal; now(): Date; progress(doneBytes: number, totalBytes: number): void },
): Promise<DataReport> {
  const { signal, now, progress } = options;
  const known = (part: DiskPart) => (part.id === null || point.isSuspect ? null : parts.readAt(part.id));
  const all = point.disks.flatMap((disk) => disk.parts.filter(({ id }) => id !== null));
  const totalBytes = all.reduce((sum, part) => sum + (known(part) === null ? part.lengthBytes : 0), 0);
  let checkedBytes = 0;
  let oldest: Date | null = null;
  const note = (at: Date) => {
    if (oldest === null || at < oldest) oldest = at;
  };
  for (const disk of point.disks) {
    const image = await point.openDisk(disk.target);
    try {
      for (const part of disk.parts) {
        const before = known(part);
        if (before !== null) note(before);
        if (part.id === null || before !== null) continue;
        const at = now();
        await readPart(image, part, signal, (bytes) => {
          checkedBytes += bytes;
          progress(checkedBytes, totalBytes);
        });
        note(at);
        await parts.wasRead(part.id, at);
      }
    } catch (error) {
      const isDamage = error instanceof AppError && error.code === 'point_damaged';
      if (!isDamage || signal.aborted) throw error;
      return { state: 'damaged', checkedBytes, checkedAt: oldest, problem: error.message };
    } finally {
      await image.close();
    }
  }
  return { state: 'good', checkedBytes, checkedAt: oldest, problem: null };
}

async function readPart(
  image: PointImage,
  { offsetBytes, lengthBytes }: DiskPart,
  signal: AbortSignal,
  onRead: (bytes: number) => void,
): Promise<void> {
  const end = Math.min(offsetBytes + lengthBytes, image.sizeBytes);
  for (let at = offsetBytes; at < end; ) {
    const extents = await image.extents(at, end - at);
    const start = at;
    for (const extent of extents) {
      signal.throwIfAborted();
      if (!extent.isZero) await readRange(image, at, extent.lengthBytes, signal);
      at += extent.lengthBytes;
      onRead(extent.lengthBytes);
    }
    if (at === start) throw new Error(`the disk tells nothing of what lies at ${at}`);
  }
}

async function readRange(image: PointImage, from: number, lengthBytes: number, signal: AbortSignal): Promise<void> {
  const starts: number[] = [];
  for (let at = from; at < from + lengthBytes; at += READ_BYTES) starts.push(at);
  await mapLimit(starts, AT_ONCE, async (at) => {
    signal.throwIfAborted();
    await image.read(at, Math.min(READ_BYTES, from + lengthBytes - at));
  });
}
