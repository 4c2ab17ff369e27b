/** All ids that a repository uses, range by range, in memory that does not grow with their number. Few fit at once. Many are sorted by
 *  their first byte into a file without a name, so that they are scanned once; without room for that they are scanned once for each range. */

import { AppError } from '#kernel/errors.ts';
import { IdSet } from './id-set.ts';
import { createIdShelves, type IdShelves, SHELVES } from './id-shelves.ts';

export interface IdRange {
  /** First 16 bits of the ids of this range: from `low` up to and without `high`. */
  readonly low: number;
  readonly high: number;
  readonly ids: IdSet;
}

/** Tells ids at an offset of some bytes, each as often as it likes. */
export type ScanIds = (visit: (bytes: Buffer, offset: number) => void) => Promise<void>;

const PREFIXES = 0x10000;
const PER_SHELF = PREFIXES / SHELVES;

/** Each id once, in ranges in order.
 *  @param scratch path for the file without a name, of the size of all that `scan` tells; nothing may be there
 *  @param maxIds that are held in memory at once; of one first byte there may be more */
export async function* idRanges(
  { maxIds, scratch }: { readonly maxIds: number; readonly scratch: string },
  scan: ScanIds,
): AsyncGenerator<IdRange> {
  let shelves: IdShelves | null = null;
  try {
    let few = new IdSet();
    try {
      await scan((bytes, offset) => {
        if (shelves) return shelves.put(bytes, offset);
        few.add(bytes, offset);
        if (few.size <= maxIds) return;
        shelves = createIdShelves(scratch);
        for (const id of few) shelves.put(id, 0);
        few = new IdSet();
      });
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'no_space') throw error;
      yield* scannedRanges(maxIds, scan);
      return;
    }
    if (shelves === null) yield { low: 0, high: PREFIXES, ids: few };
    else yield* shelvedRanges(shelves);
  } finally {
    closeShelves(shelves);
  }
}

// The compiler does not see what callbacks assign.
const closeShelves = (shelves: IdShelves | null) => shelves?.close();

function* shelvedRanges(shelves: IdShelves): Generator<IdRange> {
  for (let shelf = 0; shelf < SHELVES; shelf += 1) {
    const ids = new IdSet();
    for (const bytes of shelves.blocks(shelf)) ids.addAll(bytes);
    yield { low: shelf * PER_SHELF, high: (shelf + 1) * PER_SHELF, ids };
  }
}

/** Without scratch, as in a repository that is full and has to be pruned: `scan` is called once for each range. */
async function* scannedRanges(maxIds: number, scan: ScanIds): AsyncGenerator<IdRange> {
  for (let low = 0; low < PREFIXES; ) {
    let high = PREFIXES;
    let ids = new IdSet();
    await scan((bytes, offset) => {
      const prefix = bytes.readUInt16BE(offset);
      if (prefix < low || prefix >= high) return;
      ids.add(bytes, offset);
      // A range of one prefix is not divided: 65,536 such would have to be full first.
      while (ids.size > maxIds && high - low > 1) {
        high = low + Math.ceil((high - low) / 2);
        ids = ids.below(high);
      }
    });
    yield { low, high, ids };
    low = high;
  }
}
