/** The log of the present hour: one row for each tick, whole in itself, so that a damaged one takes no other with it.
 *  row := version, count, (series - the one before, value)*; values are whole, as in chunks. */

import { pack, unpack } from './block.ts';
import { ByteReader, ByteWriter, DamagedBytes } from './varints.ts';

export interface TickValues {
  readonly ids: Float64Array;
  /** Scaled to whole numbers. */
  readonly scaled: Float64Array;
}

const VERSION = 1;

/** Makes rows. The ids of a tick are mostly those of the tick before, so their bytes are kept. */
export function createTickEncoder(): (values: TickValues) => Uint8Array {
  const out = new ByteWriter();
  let known: Float64Array | null = null;
  let head: Uint8Array = new Uint8Array(0);
  const headOf = (ids: Float64Array) => {
    if (known === null || Buffer.compare(bytesOf(ids), bytesOf(known)) !== 0) {
      out.byte(VERSION);
      out.unsigned(ids.length);
      out.signedRun(ids, true);
      head = out.take().slice();
      known = ids.slice();
    }
    return head;
  };
  return ({ ids, scaled }) => {
    // Ids beside each other and values beside each other compress better than in turns.
    out.raw(headOf(ids));
    out.signedRun(scaled, false);
    return pack(out.take(), 1);
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array) => new Uint8Array(buffer, byteOffset, byteLength);

/** @throws DamagedBytes */
export function decodeTick(bytes: Uint8Array): TickValues {
  const input = new ByteReader(unpack(bytes));
  if (input.byte() !== VERSION) throw new DamagedBytes('the row is of another version');
  const count = input.unsigned();
  return { ids: input.signedRun(count, true), scaled: input.signedRun(count, false) };
}
