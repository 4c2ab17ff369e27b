/** Snappy's block format (github.com/google/snappy, format_description.txt), as remote write wants its bodies: literals, and copies of
 *  what stood up to 64 KiB before. */

const MIN_MATCH = 4;
const MAX_COPY = 64;
const HASH_BITS = 14;
const MAX_OFFSET = 65_535;

export function snappyCompress(input: Uint8Array): Uint8Array {
  const source = Buffer.from(input.buffer, input.byteOffset, input.byteLength);
  // A literal costs at most five bytes more than it holds; there is at most one for each copy, which saves at least one.
  const output = Buffer.allocUnsafe(32 + source.length + Math.ceil(source.length / 6));
  let end = writeVarint(output, 0, source.length);
  /** Where four bytes with this hash were last seen, plus one. */
  const lastSeen = new Int32Array(1 << HASH_BITS);
  let literalFrom = 0;
  let at = 0;
  while (at + MIN_MATCH <= source.length) {
    const four = source.readInt32LE(at);
    const slot = Math.imul(four, 0x1e35a7bd) >>> (32 - HASH_BITS);
    const candidate = (lastSeen[slot] ?? 0) - 1;
    lastSeen[slot] = at + 1;
    if (candidate < 0 || at - candidate > MAX_OFFSET || source.readInt32LE(candidate) !== four) {
      at += 1;
      continue;
    }
    let length = MIN_MATCH;
    while (at + length < source.length && source[candidate + length] === source[at + length]) length += 1;
    end = writeLiteral(output, end, source, literalFrom, at);
    end = writeCopies(output, end, at - candidate, length);
    at += length;
    literalFrom = at;
  }
  end = writeLiteral(output, end, source, literalFrom, source.length);
  return output.subarray(0, end);
}

function writeVarint(output: Buffer, at: number, value: number): number {
  let end = at;
  let rest = value;
  while (rest > 127) {
    output[end] = (rest & 127) | 128;
    rest >>>= 7;
    end += 1;
  }
  output[end] = rest;
  return end + 1;
}

function writeLiteral(output: Buffer, at: number, source: Buffer, from: number, to: number): number {
  const length = to - from;
  if (length === 0) return at;
  let end = at;
  const last = length - 1;
  if (last < 60) {
    output[end] = last << 2;
    end += 1;
  } else {
    const width = last < 1 << 8 ? 1 : last < 1 << 16 ? 2 : last < 1 << 24 ? 3 : 4;
    output[end] = (59 + width) << 2;
    end = output.writeUIntLE(last, end + 1, width);
  }
  source.copy(output, end, from, to);
  return end + length;
}

/** Copies of two-byte offsets hold up to 64 bytes each. */
function writeCopies(output: Buffer, at: number, offset: number, length: number): number {
  let end = at;
  for (let left = length; left > 0; left -= MAX_COPY) {
    output[end] = ((Math.min(left, MAX_COPY) - 1) << 2) | 2;
    end = output.writeUInt16LE(offset, end + 1);
  }
  return end;
}
