/** What an NBD server serves: the shape of a source, and the guard that keeps one that misbehaves from reaching the wire. */

/** A range of a disk in one state. */
export interface NbdExtent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
}

/** A range that begins where the one before ends. */
export interface SourceExtent {
  readonly lengthBytes: number;
  /** Reads as zeros, so that nobody need ask for it. */
  readonly isZero: boolean;
}

/** A read-only disk. Calls come many at once and always inside of the disk. */
export interface NbdSource {
  readonly sizeBytes: number;
  /** Exactly `lengthBytes` bytes, which nobody changes afterwards. The server asks for at most 1 MiB at once, never across a
   *  border of 1 MiB, so a source in such chunks answers from one of them. Rejects when the data cannot be had: the client
   *  then sees an input/output error, never other bytes. */
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
  /** What `read` gave was sent and is not looked at any more. */
  release?(bytes: Buffer): void;
  /** The range in extents, in order and without gaps; it may cover less than asked for, but not nothing. Without this all
   *  of the disk counts as data. */
  extents?(offsetBytes: number, lengthBytes: number): Promise<readonly SourceExtent[]>;
}

/** Reads, and holds the source to the length that was asked for. */
export async function readWhole(source: NbdSource, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const data = await source.read(offsetBytes, lengthBytes);
  if (data.length !== lengthBytes)
    throw new Error(`the source gave ${data.length} bytes instead of ${lengthBytes} at ${offsetBytes}`);
  return data;
}

/** Zeros are told of in multiples of this: qemu-img counts in sectors of 512 bytes and rounds up, so that it would take the
 *  first bytes behind a border within a sector for zeros too (measured on QEMU 7.2). */
const ALIGNMENT_BYTES = 4096;

/** The extents from `offsetBytes` on, neighbours in the same state joined, cut to the range and to `maxCount`. They cover at
 *  least one byte. Zeros begin and end at multiples of 4096 or where the range does; what is left of them counts as data.
 *  @throws Error when the source gives none */
export async function extentsOf(
  source: NbdSource,
  offsetBytes: number,
  lengthBytes: number,
  maxCount: number,
): Promise<readonly SourceExtent[]> {
  if (!source.extents) return [{ lengthBytes, isZero: false }];
  const end = offsetBytes + lengthBytes;
  const exact = new JoinedExtents(Number.POSITIVE_INFINITY);
  for (const extent of await source.extents(offsetBytes, lengthBytes)) exact.add(extent.lengthBytes, extent.isZero);
  const aligned = new JoinedExtents(maxCount);
  let at = offsetBytes;
  for (const extent of exact.all) {
    const next = Math.min(at + extent.lengthBytes, end);
    const zerosStart = at === offsetBytes ? at : Math.ceil(at / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    const zerosEnd = next === end ? end : Math.floor(next / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    if (extent.isZero && zerosStart < zerosEnd) {
      aligned.add(zerosStart - at, false);
      aligned.add(zerosEnd - zerosStart, true);
      aligned.add(next - zerosEnd, false);
    } else aligned.add(next - at, false);
    at = next;
  }
  if (aligned.all.length === 0) throw new Error(`the source knows no state of ${lengthBytes} bytes at ${offsetBytes}`);
  return aligned.all;
}

/** Extents in order; those that follow one of the same state make it longer. */
class JoinedExtents {
  readonly all: { lengthBytes: number; readonly isZero: boolean }[] = [];
  readonly #maxCount: number;
  #isFull = false;

  constructor(maxCount: number) {
    this.#maxCount = maxCount;
  }

  add(lengthBytes: number, isZero: boolean): void {
    if (this.#isFull || !(lengthBytes > 0)) return;
    const last = this.all.at(-1);
    if (last?.isZero === isZero) last.lengthBytes += lengthBytes;
    else if (this.all.length < this.#maxCount) this.all.push({ lengthBytes, isZero });
    else this.#isFull = true;
  }
}
