/** Writes a disk's data past the kernel's cache where the file system can: nobody reads a fresh disk at once, and in the cache it would push
 *  out what guests read, cost a copy into new memory, and come to its storage in one flood at the end. What a disk says about its data is
 *  small and goes through the cache. */

import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { createQueue } from '#kernel/async.ts';
import { hasErrno } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import { writeAll } from './layout.ts';

/** At least the block size of every disk that is sold; offsets, lengths and memory have to fit it. */
const BLOCK_BYTES = 4096;
const PAGES_PER_MIB = MIB / (64 * 1024);

export interface DataWriter {
  /** Any length at any place; whole blocks at their borders go past the cache. One after the other: writers of one file would wait for each
   *  other in the kernel by spinning, on processors that others need.
   *  @throws system errors of writing */
  write(bytes: Buffer, offsetBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** @param file for what does not fit; it has to be synced, which covers what went past the cache
 *  @param isCached true = all of it goes through the cache */
export async function openDataWriter(file: FileHandle, isCached: boolean): Promise<DataWriter> {
  const inTurn = createQueue();
  // The only memory in JavaScript that begins at the border of a page.
  const aligned = Buffer.from(new WebAssembly.Memory({ initial: PAGES_PER_MIB, maximum: PAGES_PER_MIB }).buffer);
  let direct = isCached ? null : await openDirect(file);

  /** @returns how much of it is in the file */
  const writeDirect = async (bytes: Buffer, offsetBytes: number): Promise<number> => {
    const length = Math.min(MIB, bytes.length - (bytes.length % BLOCK_BYTES));
    if (!direct || length === 0 || offsetBytes % BLOCK_BYTES !== 0) return 0;
    bytes.copy(aligned, 0, 0, length);
    try {
      return (await direct.write(aligned, 0, length, offsetBytes)).bytesWritten;
    } catch (error) {
      if (!hasErrno(error, 'EINVAL', 'ENOTSUP')) throw error;
      // It was opened and does not work: blocks of another size, or a file system that only says it can.
      await closeDirect();
      return 0;
    }
  };
  const closeDirect = async () => {
    const open = direct;
    direct = null;
    await open?.close();
  };

  return {
    write: (bytes, offsetBytes) =>
      inTurn(async () => {
        for (let at = 0; at < bytes.length; ) {
          const written = await writeDirect(bytes.subarray(at), offsetBytes + at);
          if (written === 0) return await writeAll(file, bytes.subarray(at), offsetBytes + at);
          at += written;
        }
      }),
    close: closeDirect,
  };
}

/** Null where the file system has nothing but its cache, or cannot do without. */
async function openDirect({ fd }: FileHandle): Promise<FileHandle | null> {
  try {
    // The same file, whatever has its name by now.
    return await open(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_DIRECT);
  } catch {
    // What is wrong with the file itself is told by the first write to it.
    return null;
  }
}
