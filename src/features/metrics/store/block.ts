/** The outer hull of everything that the history stores: zstd with a checksum, so that bytes that went bad on the disk are seen and
 *  lose only their own block. */

import { constants, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { MIB } from '#kernel/units.ts';
import { DamagedBytes } from './varints.ts';

/** Far above the largest block that is written; a damaged length must not take the memory of the daemon. */
const MAX_BLOCK_BYTES = 64 * MIB;

/** @param level of zstd: 1 for what is soon written anew, 3 for what stays */
export function pack(bytes: Uint8Array, level: 1 | 3): Uint8Array {
  return zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** @throws DamagedBytes when they are not what was packed */
export function unpack(bytes: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: MAX_BLOCK_BYTES });
  } catch (error) {
    throw new DamagedBytes('the block does not fit its checksum', error);
  }
}
