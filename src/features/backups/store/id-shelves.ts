/** Ids sorted by their first byte in a file without a name: written and read once, in blocks. */

import { closeSync, readSync, writeSync } from 'node:fs';
import { asStoreError, openNamelessSync } from './files.ts';
import { ID_BYTES } from './object.ts';

export const SHELVES = 256;
/** 8 MiB for all shelves. */
const BLOCK_BYTES = 32 * 1024;

export interface IdShelves {
  /** @throws AppError no_space */
  put(bytes: Buffer, offset: number): void;
  /** All of one shelf, some ids at once; each is valid until the next. */
  blocks(shelf: number): Generator<Buffer>;
  close(): void;
}

/** @param scratch path for the file; nothing may be there @throws AppError no_space */
export function createIdShelves(scratch: string): IdShelves {
  const file = openNamelessSync(scratch);
  const open = Array.from({ length: SHELVES }, () => Buffer.alloc(BLOCK_BYTES));
  const fill = new Uint32Array(SHELVES);
  /** Numbers of blocks in the file. */
  const written: number[][] = Array.from({ length: SHELVES }, () => []);
  let blockCount = 0;

  const flush = (shelf: number, bytes: Buffer) => {
    try {
      let length = 0;
      while (length < BLOCK_BYTES)
        length += writeSync(file, bytes, length, BLOCK_BYTES - length, blockCount * BLOCK_BYTES + length);
    } catch (error) {
      throw asStoreError(error);
    }
    written[shelf]?.push(blockCount);
    blockCount += 1;
  };

  return {
    put(bytes, offset) {
      const shelf = bytes.readUInt8(offset);
      const block = open[shelf];
      let at = fill[shelf] ?? 0;
      if (!block) return;
      bytes.copy(block, at, offset, offset + ID_BYTES);
      at += ID_BYTES;
      if (at === BLOCK_BYTES) {
        flush(shelf, block);
        at = 0;
      }
      fill[shelf] = at;
    },
    *blocks(shelf) {
      const block = Buffer.alloc(BLOCK_BYTES);
      for (const n of written[shelf] ?? []) {
        let length = 0;
        while (length < BLOCK_BYTES) {
          const count = readSync(file, block, length, BLOCK_BYTES - length, n * BLOCK_BYTES + length);
          if (count === 0) throw new Error('scratch of a repository is shorter than it was written');
          length += count;
        }
        yield block;
      }
      yield open[shelf]?.subarray(0, fill[shelf]) ?? block.subarray(0, 0);
    },
    close: () => closeSync(file),
  };
}
