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

/** @param out empty; a writer that is used for each tick has grown to the size of one */
export function encodeTick({ ids, scaled }: TickValues, out = new ByteWriter()): Uint8Array {
  out.byte(VERSION);
  out.unsigned(ids.length);
  // Ids beside each other and values beside each other compress better than in turns.
  out.signedRun(ids, true);
  out.signedRun(scaled, false);
  return pack(out.take(), 1);
}

/** @throws DamagedBytes */
export function decodeTick(bytes: Uint8Array): TickValues {
  const input = new ByteReader(unpack(bytes));
  if (input.byte() !== VERSION) throw new DamagedBytes('the row is of another version');
  const count = input.unsigned();
  return { ids: input.signedRun(count, true), scaled: input.signedRun(count, false) };
}
