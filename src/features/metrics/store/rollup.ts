/** Coarser tiers: what the samples of five minutes, or of an hour, come to. Made from a column of the raw tier. */

import type { MetricDefinition } from '#contract/metric-catalogue.ts';
import type { Column } from './chunk.ts';

/** What the samples of one bucket come to. All numbers are scaled, whole ones; `average` by `averageDigits` digits more. */
export interface Bucket {
  readonly count: number;
  readonly min: number;
  readonly max: number;
  /** Of an enum: the state that held longest, when two are alike the one that came first. */
  readonly average: number;
  /** Of an enum with more than one state in the bucket: samples of each. */
  readonly states: readonly (readonly [state: number, count: number])[] | null;
}

/** Buckets of one series; `null` = nothing was measured. */
export interface Rollup {
  readonly series: number;
  readonly buckets: readonly (Bucket | null)[];
}

/** Digits that an average has behind those of its samples: of states and small counts, which are whole, it is a share. */
export function averageDigits({ dimension, decimals }: MetricDefinition): number {
  return decimals === 0 && ['bool', 'number', 'seconds'].includes(dimension) ? 3 : 0;
}

/** @param ticksPerBucket length of a bucket
 *  @param buckets how many of them the column's hour has */
export function rollUp(
  { series, offsets, values }: Column,
  definition: MetricDefinition,
  ticksPerBucket: number,
  buckets: number,
): Rollup {
  const found: (Bucket | null)[] = [];
  const first = offsets[0] ?? 0;
  const isWhole = (offsets.at(-1) ?? first) - first === offsets.length - 1;
  let at = 0;
  for (let bucket = 0; bucket < buckets; bucket += 1) {
    const end = (bucket + 1) * ticksPerBucket;
    const from = at;
    if (isWhole) at = Math.min(Math.max(end - first, 0), offsets.length);
    else while (at < offsets.length && (offsets[at] ?? end) < end) at += 1;
    found.push(from === at ? null : bucketOf(values, from, at, definition));
  }
  return { series, buckets: found };
}

function bucketOf(values: Float64Array, from: number, to: number, definition: MetricDefinition): Bucket {
  let min = values[from] ?? 0;
  let max = min;
  // Means of large numbers are taken of what they differ by, so that the sum stays exact.
  const base = min;
  let sum = 0;
  for (let at = from; at < to; at += 1) {
    const value = values[at] ?? 0;
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value - base;
  }
  const count = to - from;
  if (definition.dimension === 'enum') return enumBucket(values, from, to, min, max);
  const average = Math.round((base + sum / count) * 10 ** averageDigits(definition)) + 0;
  return { count, min, max, average, states: null };
}

function enumBucket(values: Float64Array, from: number, to: number, min: number, max: number): Bucket {
  if (min === max) return { count: to - from, min, max, average: min, states: null };
  const counts = new Map<number, number>();
  for (let at = from; at < to; at += 1) counts.set(values[at] ?? 0, (counts.get(values[at] ?? 0) ?? 0) + 1);
  const states = [...counts];
  const longest = states.reduce((best, each) => (each[1] > best[1] ? each : best));
  return { count: to - from, min, max, average: longest[0], states };
}
