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

/** The extents from `offsetBytes` on, neighbours in the same state joined, cut to the range and to `maxCount`. They cover at
 *  least one byte.
 *  @throws Error when the source gives none */
export async function extentsOf(
  source: NbdSource,
  offsetBytes: number,
  lengthBytes: number,
  maxCount: number,
): Promise<readonly SourceExtent[]> {
  if (!source.extents) return [{ lengthBytes, isZero: false }];
  const joined: { lengthBytes: number; isZero: boolean }[] = [];
  let left = lengthBytes;
  for (const extent of await source.extents(offsetBytes, lengthBytes)) {
    const inside = Math.min(extent.lengthBytes, left);
    if (!(inside > 0)) break;
    const last = joined.at(-1);
    if (last?.isZero === extent.isZero) last.lengthBytes += inside;
    else if (joined.length === maxCount) break;
    else joined.push({ lengthBytes: inside, isZero: extent.isZero });
    left -= inside;
  }
  if (joined.length === 0) throw new Error(`the source knows no state of ${lengthBytes} bytes at ${offsetBytes}`);
  return joined;
}
