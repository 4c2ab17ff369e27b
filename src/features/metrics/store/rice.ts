/** Numbers that never stand still, in bits instead of bytes: Golomb-Rice codes of their differences (R. F. Rice, 1979). How many low
 *  bits are written as they are follows the size of the differences before, so it is not stored. Varints would leave a sixth of the
 *  room unused, and zstd finds nothing in noise.
 *
 *  run  := exponent of the mean to begin with, code*; the first value is not part of it
 *  code := number divided by 2^k in ones, a zero, its k low bits; or `ESCAPE` ones, and the number. The lowest bit of a byte comes first. */

import { DamagedBytes } from './varints.ts';

/** Differences must be smaller, so that with their sign they are 31 bits. */
export const RICE_LIMIT = 2 ** 30;
const ESCAPE = 12;
const ESCAPED_BITS = 31;
const MOST_BYTES_OF_CODE = 6;
/** How much the newest number moves the mean. */
const WEIGHT = 1 / 16;
/** Bits that fit beside those that wait for their byte to be full. */
const BITS_AT_ONCE = 24;

let scratch = new Uint8Array(0);

/** A number of so many ones, 0 to 31. */
const mask = (bits: number) => 0x7fffffff >>> (31 - bits);

/** Low bits that are shortest for numbers with this mean. */
const lowBitsFor = (mean: number) => (mean < 1 ? 0 : 31 - Math.clz32(mean));

/** The differences from one value to the next. The answer is valid until the next call.
 *  @param values whole, at least one; each differs from the next by less than `RICE_LIMIT`
 *  @param meanDifference of all, whatever their sign */
export function encodeRice(values: Float64Array, meanDifference: number): Uint8Array {
  const room = 1 + values.length * MOST_BYTES_OF_CODE;
  if (scratch.length < room) scratch = new Uint8Array(room);
  const bytes = scratch;
  const exponent = lowBitsFor(2 * meanDifference);
  bytes[0] = exponent;
  let mean = 2 ** exponent;
  let [at, held, bits] = [1, 0, 0];
  let before = values[0] ?? 0;
  for (let n = 1; n < values.length; n += 1) {
    const value = values[n] ?? 0;
    const difference = value - before;
    before = value;
    const code = difference < 0 ? -2 * difference - 1 : 2 * difference;
    const lowBits = lowBitsFor(mean);
    mean += (code - mean) * WEIGHT;
    const ones = code >>> lowBits;
    // The usual case at once: a whole code beside the bits that wait.
    if (ones + lowBits < BITS_AT_ONCE && ones < ESCAPE) {
      held |= (mask(ones) | ((code & mask(lowBits)) << (ones + 1))) << bits;
      bits += ones + 1 + lowBits;
      for (; bits >= 8; bits -= 8) {
        bytes[at++] = held;
        held >>>= 8;
      }
      continue;
    }
    const isEscaped = ones >= ESCAPE;
    held |= mask(isEscaped ? ESCAPE : ones) << bits;
    bits += isEscaped ? ESCAPE : ones + 1;
    let rest = isEscaped ? code : code & mask(lowBits);
    let restBits = isEscaped ? ESCAPED_BITS : lowBits;
    while (restBits > 0) {
      for (; bits >= 8; bits -= 8) {
        bytes[at++] = held;
        held >>>= 8;
      }
      const now = Math.min(restBits, 16);
      held |= (rest & 0xffff) << bits;
      rest >>>= 16;
      restBits -= now;
      bits += now;
    }
    for (; bits >= 8; bits -= 8) {
      bytes[at++] = held;
      held >>>= 8;
    }
  }
  if (bits > 0) bytes[at++] = held;
  return bytes.subarray(0, at);
}

/** Gives back the values. @param values room for them; the first is there already
 *  @throws DamagedBytes */
export function decodeRice(bytes: Uint8Array, values: Float64Array): void {
  // Each takes a bit at least; the mean is a power of two that a number of 31 bits can have.
  if (values.length - 1 > (bytes.length - 1) * 8 || (bytes[0] ?? 31) > 30)
    throw new DamagedBytes('a run of numbers ends too early');
  let mean = 2 ** (bytes[0] ?? 0);
  let [at, held, bits] = [1, 0, 0];
  let before = values[0] ?? 0;
  for (let n = 1; n < values.length; n += 1) {
    for (; bits <= BITS_AT_ONCE; bits += 8) held |= (bytes[at++] ?? 0) << bits;
    const lowBits = lowBitsFor(mean);
    const zeros = ~held;
    const ones = zeros === 0 ? ESCAPE : 31 - Math.clz32(zeros & -zeros);
    const isEscaped = ones >= ESCAPE;
    const headBits = isEscaped ? ESCAPE : ones + 1;
    held >>>= headBits;
    bits -= headBits;
    let code = 0;
    let restBits = isEscaped ? ESCAPED_BITS : lowBits;
    if (restBits <= bits) {
      code = held & mask(restBits);
      held >>>= restBits;
      bits -= restBits;
    } else {
      for (let shift = 0; restBits > 0; ) {
        for (; bits <= BITS_AT_ONCE; bits += 8) held |= (bytes[at++] ?? 0) << bits;
        const now = Math.min(restBits, 16);
        code |= (held & mask(now)) << shift;
        held >>>= now;
        bits -= now;
        shift += now;
        restBits -= now;
      }
    }
    if (!isEscaped) code += ones << lowBits;
    mean += (code - mean) * WEIGHT;
    before += (code & 1) === 0 ? code / 2 : -(code + 1) / 2;
    values[n] = before;
  }
  // What was read beyond the end was made up.
  if (at - (bits >> 3) > bytes.length) throw new DamagedBytes('a run of numbers ends too early');
}
