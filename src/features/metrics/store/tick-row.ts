/** The log of the present hour: one row for each tick, whole in itself, so that a damaged one takes no other with it.
 *  row := version, count, (series - the one before, value)*; values are whole, as in chunks. */

import { pack, unpack } from './block.ts';
import { ByteReader, ByteWriter, DamagedBytes } from './varints.ts';

export interface TickValues {
  readonly ids: readonly number[];
  /** Scaled to whole numbers. */
  readonly scaled: readonly number[];
}

const VERSION = 1;

export function encodeTick({ ids, scaled }: TickValues): Uint8Array {
  const out = new ByteWriter();
  out.byte(VERSION);
  out.unsigned(ids.length);
  // Ids beside each other and values beside each other compress better than in turns.
  let before = 0;
  for (const id of ids) {
    out.signed(id - before);
    before = id;
  }
  for (const value of scaled) out.signed(value);
  return pack(out.take(), 1);
}

/** @throws DamagedBytes */
export function decodeTick(bytes: Uint8Array): TickValues {
  const input = new ByteReader(unpack(bytes));
  if (input.byte() !== VERSION) throw new DamagedBytes('the row is of another version');
  const count = input.unsigned();
  const ids: number[] = [];
  const scaled: number[] = [];
  let id = 0;
  for (let n = 0; n < count; n += 1) {
    id += input.signed();
    ids.push(id);
  }
  for (let n = 0; n < count; n += 1) scaled.push(input.signed());
  return { ids, scaled };
}
