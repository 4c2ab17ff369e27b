/** One disk of a restore point while it is written: chunks in any order, several on their way at once. */

import { mapLimit } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
import type { DiskIndex } from './disk-index.ts';
import { type DiskStats, pageCount } from './manifest.ts';
import { ZERO_ID } from './object.ts';
import type { ObjectWriter } from './objects.ts';
import type { Room } from './room.ts';

const PAGES_AT_ONCE = 4;

export interface DiskWriter {
  /** Takes one chunk; resolves when the store has it in its memory, long before it is stored.
   *  @param data the whole chunk, which belongs to the store from now on; the last one of a disk is as short as the disk's end. A function
   *    is called when there is room for what it gives
   *  @throws what storing this or an earlier chunk failed with: AppError no_space, … The writer is of no use then; what `data` throws */
  write(chunkIndex: number, data: Buffer | (() => Promise<Buffer>)): Promise<void>;
  /** From here on so many chunks are zeros. */
  zero(chunkIndex: number, count: number): Promise<void>;
  /** Waits for all that is on its way and stores the pages. Nothing can be written afterwards. */
  finish(): Promise<FinishedDisk>;
}

export interface FinishedDisk {
  readonly pages: readonly string[];
  readonly stats: DiskStats;
}

export function createDiskWriter(options: {
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly index: DiskIndex;
  /** Pages of the parent, by id; all zeros without one. */
  readonly parentPages: readonly string[] | null;
  readonly objects: ObjectWriter;
  readonly room: Room;
}): DiskWriter {
  const { sizeBytes, chunkSizeBytes, index, parentPages, objects, room } = options;
  const chunks = Math.ceil(sizeBytes / chunkSizeBytes);
  const stats = { receivedBytes: 0, newBytes: 0, duplicateBytes: 0, zeroBytes: 0, storedBytes: 0 };
  const underway = new Set<Promise<void>>();
  let failure: unknown = null;
  let isFinished = false;

  const lengthOf = (chunk: number) => Math.min(chunkSizeBytes, sizeBytes - chunk * chunkSizeBytes);
  const assertOpen = (chunk: number, count: number) => {
    if (failure !== null) throw failure;
    if (isFinished) throw new TypeError('the disk was finished already');
    if (!Number.isInteger(chunk) || !Number.isInteger(count) || chunk < 0 || count < 0 || chunk + count > chunks)
      throw new RangeError(`chunks ${chunk} to ${chunk + count} do not lie within the disk`);
  };
  const keep = async (chunk: number, data: Buffer, leave: () => void) => {
    try {
      const bytes = data.length;
      const { id, storedBytes } = await objects.store('chunk', data);
      await index.set(chunk, id);
      stats.storedBytes += storedBytes;
      if (id === null) stats.zeroBytes += bytes;
      else if (storedBytes > 0) stats.newBytes += bytes;
      else stats.duplicateBytes += bytes;
    } catch (error) {
      failure ??= error;
    } finally {
      leave();
    }
  };
  const settle = async () => {
    await Promise.all(underway);
    if (failure !== null) throw failure;
  };

  return {
    async write(chunk, data) {
      assertOpen(chunk, 1);
      const leave = await room.take(lengthOf(chunk));
      try {
        if (failure !== null) throw failure;
        const bytes = typeof data === 'function' ? await data() : data;
        if (bytes.length !== lengthOf(chunk))
          throw new RangeError(`chunk ${chunk} has ${lengthOf(chunk)} bytes, not ${bytes.length}`);
        stats.receivedBytes += bytes.length;
        const work = keep(chunk, bytes, leave).finally(() => underway.delete(work));
        underway.add(work);
      } catch (error) {
        leave();
        throw error;
      }
    },
    async zero(chunk, count) {
      assertOpen(chunk, count);
      if (count === 0) return;
      await index.fillZero(chunk, count);
      stats.zeroBytes += Math.min(count * chunkSizeBytes, sizeBytes - chunk * chunkSizeBytes);
    },
    async finish() {
      assertOpen(0, 0);
      isFinished = true;
      await settle();
      const zeroId = ZERO_ID.toString('hex');
      const pages = Array.from({ length: pageCount(sizeBytes, chunkSizeBytes) }, (_, n) => parentPages?.[n] ?? zeroId);
      await mapLimit(index.touchedPages(), PAGES_AT_ONCE, async (page) => {
        const { id, storedBytes } = await objects.store('page', await index.page(page));
        stats.storedBytes += storedBytes;
        pages[page] = id === null ? zeroId : Buffer.from(id).toString('hex');
      });
      return { pages, stats: { ...stats } };
    },
  };
}

/** @throws AppError invalid_input for sizes that no disk has */
export function assertDiskSize(sizeBytes: number): void {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes % 512 !== 0)
    throw new AppError('invalid_input', { detail: `A disk of ${sizeBytes} bytes does not consist of whole sectors.` });
}
