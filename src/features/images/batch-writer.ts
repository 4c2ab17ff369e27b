/** Writes a stream of small chunks to a file in large pieces, one piece on its way to the disk while the next is gathered: a chunk
 *  of a network connection is too small to wait for the disk each time. Both pieces stay: made anew for each, they would be a hundred
 *  MiB before the collector comes to them. */

import type { FileHandle } from 'node:fs/promises';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';

const BATCH_BYTES = MIB;

export interface BatchWriter {
  /** Takes a chunk; waits only when the disk is a whole piece behind. The chunk is copied.
   *  @throws AppError no_space, and other failures of an earlier piece */
  write(chunk: Uint8Array): Promise<void>;
  /** Writes what is gathered. @throws as `write` */
  flush(): Promise<void>;
  /** Bytes that were taken, counted from the beginning of the file. */
  readonly taken: number;
  /** Bytes that are in the file. */
  readonly written: number;
}

export function createBatchWriter(handle: FileHandle, begin: number): BatchWriter {
  let filling = Buffer.allocUnsafeSlow(BATCH_BYTES);
  let other = Buffer.allocUnsafeSlow(BATCH_BYTES);
  let filledBytes = 0;
  let taken = begin;
  let written = begin;
  let pending: Promise<void> = Promise.resolve();

  const writeOut = async (bytes: Buffer) => {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, written);
      done += bytesWritten;
      written += bytesWritten;
    }
  };
  const send = async () => {
    try {
      await pending;
    } catch (error) {
      throw asSpaceError(error);
    }
    const piece = filling.subarray(0, filledBytes);
    [filling, other] = [other, filling];
    filledBytes = 0;
    pending = writeOut(piece);
    // Whoever sends the next piece hears of a failure.
    pending.catch(() => undefined);
  };

  return {
    async write(chunk) {
      taken += chunk.length;
      for (let at = 0; at < chunk.length; ) {
        const part = chunk.subarray(at, at + BATCH_BYTES - filledBytes);
        filling.set(part, filledBytes);
        filledBytes += part.length;
        at += part.length;
        if (filledBytes === BATCH_BYTES) await send();
      }
    },
    async flush() {
      await send();
      try {
        await pending;
      } catch (error) {
        throw asSpaceError(error);
      }
    },
    get taken() {
      return taken;
    },
    get written() {
      return written;
    },
  };
}

/** Whether it says that a file system is full, in our own words or the system's. */
export function isSpaceError(error: unknown): boolean {
  return hasErrno(error, 'ENOSPC', 'EDQUOT') || (error instanceof AppError && error.code === 'no_space');
}

/** A full disk in our own words; anything else as it is. */
export function asSpaceError(error: unknown): unknown {
  return hasErrno(error, 'ENOSPC', 'EDQUOT')
    ? new AppError('no_space', { detail: 'The file system of the images is full.', cause: error })
    : error;
}
