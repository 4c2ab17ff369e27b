/** Disks for tests: random data and random zeros, the same for the same seed. */

import type { NbdSource, SourceExtent } from './index.ts';

export interface RandomDisk extends NbdSource {
  /** All of it. */
  readonly bytes: Buffer;
  extents(offsetBytes: number, lengthBytes: number): Promise<readonly SourceExtent[]>;
}

/** Numbers from 0 to below `limit`, always the same for one seed (the generator "mulberry32"). */
export function randomNumbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

/** Data and zeros in turn, each up to `longestExtentBytes` long, with borders at multiples of `alignmentBytes`. */
export function randomDisk(
  seed: number,
  sizeBytes: number,
  longestExtentBytes: number,
  alignmentBytes = 1,
): RandomDisk {
  const random = randomNumbers(seed);
  const bytes = Buffer.alloc(sizeBytes);
  const borders: number[] = [];
  for (let at = 0, isData = random(2) === 1; at < sizeBytes; isData = !isData) {
    const end = Math.min(
      sizeBytes,
      at + alignmentBytes * (1 + random(Math.floor(longestExtentBytes / alignmentBytes))),
    );
    // Never zero, so that what should be data cannot pass for zeros.
    if (isData) for (let byte = at; byte < end; byte += 1) bytes[byte] = 1 + random(255);
    borders.push(end);
    at = end;
  }
  const isZeroAt = (offset: number) => bytes[offset] === 0;
  return {
    sizeBytes,
    bytes,
    read: async (offsetBytes, lengthBytes) => bytes.subarray(offsetBytes, offsetBytes + lengthBytes),
    async extents(offsetBytes, lengthBytes) {
      const found: SourceExtent[] = [];
      const end = offsetBytes + lengthBytes;
      let at = offsetBytes;
      for (const border of borders) {
        if (border <= at || at >= end) continue;
        found.push({ lengthBytes: Math.min(border, end) - at, isZero: isZeroAt(at) });
        at = Math.min(border, end);
      }
      return found;
    },
  };
}
