/** What the log keeps of one tick.
 *  row := version, count, runs, (first - the end of the run before, length)*, value*; a run is of ids that follow each other, values are
 *  whole, as in chunks. Nothing is compressed: an hour takes some megabytes, and soon goes into blocks. */

import { ByteReader, ByteWriter, DamagedBytes } from './varints.ts';

export interface TickValues {
  readonly ids: Float64Array;
  /** Scaled to whole numbers. */
  readonly scaled: Float64Array;
}

const VERSION = 2;

/** Makes rows, behind room for what the caller puts before them. The ids of a tick are mostly those of the tick before, so their bytes are
 *  kept. What it gives is valid until the next call. */
export function createTickEncoder(before: Uint8Array): (values: TickValues) => Uint8Array {
  const out = new ByteWriter();
  let known: Float64Array | null = null;
  let head: Uint8Array = new Uint8Array(0);
  const headOf = (ids: Float64Array) => {
    if (known === null || Buffer.compare(bytesOf(ids), bytesOf(known)) !== 0) {
      out.byte(VERSION);
      out.unsigned(ids.length);
      const runs = runsOf(ids);
      out.unsigned(runs.length / 2);
      for (const number of runs) out.signed(number);
      head = out.take().slice();
      known = ids.slice();
    }
    return head;
  };
  return ({ ids, scaled }) => {
    const described = headOf(ids);
    out.raw(before);
    out.raw(described);
    out.signedRun(scaled, false);
    return out.take();
  };
}

/** For each run how far it begins behind the one before, and its length. */
function runsOf(ids: Float64Array): number[] {
  const runs: number[] = [];
  let end = 0;
  for (let n = 0; n < ids.length; ) {
    const first = ids[n] ?? 0;
    let length = 1;
    while (n + length < ids.length && ids[n + length] === first + length) length += 1;
    runs.push(first - end, length);
    end = first + length;
    n += length;
  }
  return runs;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** @throws DamagedBytes */
export function decodeTick(bytes: Uint8Array): TickValues {
  const input = new ByteReader(bytes);
  if (input.byte() !== VERSION) throw new DamagedBytes('the row is of another version');
  const count = input.unsigned();
  // Each value takes a byte at least; a damaged count must not take the memory of the daemon.
  if (count > bytes.length) throw new DamagedBytes('the row ends too early');
  const ids = new Float64Array(count);
  let [at, end] = [0, 0];
  for (let left = input.unsigned(); left > 0; left -= 1) {
    const first = end + input.signed();
    const length = input.signed();
    if (length < 1 || length > count - at) throw new DamagedBytes('the row names more series than it has values');
    for (let n = 0; n < length; n += 1) ids[at + n] = first + n;
    at += length;
    end = first + length;
  }
  if (at !== count) throw new DamagedBytes('the row names fewer series than it has values');
  return { ids, scaled: input.signedRun(count, false) };
}
