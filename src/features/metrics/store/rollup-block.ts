/** The rows of the coarser tiers: one metric of everybody for an hour, later for a day, because such rows answer "this figure of all
 *  VMs over a month" by reading few of them.
 *
 *  block  := version, buckets, series count, series*
 *  series := id - the one before, bytes of the rest, bucket count*, mode, minimum*, average*, maximum*, states*
 *  A count of 0 is a gap, and nothing else is written of it. In the usual mode the numbers are differences. */

import { pack, unpack } from './block.ts';
import type { Bucket, Rollup } from './rollup.ts';
import { ByteReader, ByteWriter, DamagedBytes } from './varints.ts';

const VERSION = 1;
/** Minima as differences from the one before, the others from the minimum; else, where that would leave the safe integers, as they are. */
const DIFFERENCES = 1;

export interface RollupBlock {
  /** How many buckets each series has. */
  readonly length: number;
  /** By id, growing. */
  readonly rollups: readonly Rollup[];
}

/** @param digits those of `averageDigits` */
export function encodeRollups({ length, rollups }: RollupBlock, digits: number): Uint8Array {
  const out = new ByteWriter();
  const body = new ByteWriter();
  out.byte(VERSION);
  out.unsigned(length);
  out.unsigned(rollups.length);
  let before = 0;
  for (const { series, buckets } of rollups) {
    out.unsigned(series - before);
    before = series;
    writeBuckets(body, buckets, digits);
    out.unsigned(body.length);
    out.raw(body.take());
  }
  return pack(out.take(), 3);
}

/** @param wanted only these series; null = all
 *  @throws DamagedBytes */
export function decodeRollups(bytes: Uint8Array, digits: number, wanted: ReadonlySet<number> | null): RollupBlock {
  const input = new ByteReader(unpack(bytes));
  if (input.byte() !== VERSION) throw new DamagedBytes('the block is of another version');
  const length = input.unsigned();
  const rollups: Rollup[] = [];
  let series = 0;
  for (let left = input.unsigned(); left > 0; left -= 1) {
    series += input.unsigned();
    const size = input.unsigned();
    if (wanted !== null && !wanted.has(series)) input.skip(size);
    else rollups.push({ series, buckets: readBuckets(input, length, digits) });
  }
  return { length, rollups };
}

function writeBuckets(out: ByteWriter, buckets: readonly (Bucket | null)[], digits: number): void {
  const factor = 10 ** digits;
  for (const bucket of buckets) out.unsigned(bucket?.count ?? 0);
  const full = buckets.filter((bucket) => bucket !== null);
  const mode = isNarrow(full, factor) ? DIFFERENCES : 0;
  out.byte(mode);
  let before = 0;
  for (const { min } of full) {
    out.signed(min - before);
    if (mode === DIFFERENCES) before = min;
  }
  for (const { average, min } of full) out.signed(mode === DIFFERENCES ? average - min * factor : average);
  for (const { max, min } of full) out.signed(mode === DIFFERENCES ? max - min : max);
  for (const { states } of full) {
    out.unsigned(states?.length ?? 0);
    for (const [state, count] of states ?? []) {
      out.unsigned(state);
      out.unsigned(count);
    }
  }
}

function readBuckets(input: ByteReader, length: number, digits: number): (Bucket | null)[] {
  const factor = 10 ** digits;
  const counts = Array.from({ length }, () => input.unsigned());
  const full = counts.filter((count) => count > 0);
  const isDifferences = input.byte() === DIFFERENCES;
  let before = 0;
  const mins = full.map(() => {
    const min = before + input.signed();
    if (isDifferences) before = min;
    return min;
  });
  const averages = mins.map((min) => input.signed() + (isDifferences ? min * factor : 0));
  const maxs = mins.map((min) => input.signed() + (isDifferences ? min : 0));
  const states = full.map(() => {
    const pairs = Array.from({ length: input.unsigned() }, () => [input.unsigned(), input.unsigned()] as const);
    return pairs.length === 0 ? null : pairs;
  });
  let at = 0;
  return counts.map((count) => {
    if (count === 0) return null;
    const bucket = {
      count,
      min: mins[at] ?? 0,
      max: maxs[at] ?? 0,
      average: averages[at] ?? 0,
      states: states[at] ?? null,
    };
    at += 1;
    return bucket;
  });
}

/** Whether differences of these numbers are safe integers. */
function isNarrow(buckets: readonly Bucket[], factor: number): boolean {
  let [low, high] = [0, 0];
  for (const { min, max } of buckets) {
    if (min < low) low = min;
    if (max > high) high = max;
  }
  return (high - low) * factor <= Number.MAX_SAFE_INTEGER;
}
