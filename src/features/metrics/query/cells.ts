/** Points of a graph while they are filled: what lies in each stretch of time, whether it comes as samples or as rollups. */

import { definitionOf, type MetricName } from '#contract/metric-catalogue.ts';
import type { Column } from '../store/chunk.ts';
import { TICK_MS } from '../store/history.ts';
import type { Bucket } from '../store/rollup.ts';

export interface Cells {
  /** The samples of a column; those of other times are left out.
   *  @param factor what its whole numbers are divided by */
  addColumn(column: Column, hourMs: number, factor: number): void;
  /** What a stretch of time came to, that lies in one cell as a whole. @param average digits included, as a figure */
  addBucket(atMs: number, bucket: Bucket, figures: { min: number; average: number; max: number }): void;
  /** Means, lowest and highest; null where nothing was measured. */
  read(): { readonly min: (number | null)[]; readonly avg: (number | null)[]; readonly max: (number | null)[] };
  /** Samples of each state of an enum; empty for others. */
  readonly states: ReadonlyMap<number, number>;
}

/** A figure that is missing for less than this is drawn on: slow sweeps measure each minute. */
const HELD_MS = 90_000;

export interface CellLayout {
  /** Of the first cell; cells lie side by side. */
  readonly startMs: number;
  readonly stepMs: number;
  readonly length: number;
  /** Samples before and after are left out, both ends included. */
  readonly fromMs: number;
  readonly toMs: number;
}

export function createCells(metric: MetricName, { startMs, stepMs, length, fromMs, toMs }: CellLayout): Cells {
  const { dimension, periodSeconds } = definitionOf(metric);
  const isEnum = dimension === 'enum';
  const counts = new Float64Array(length);
  const sums = new Float64Array(length);
  const mins = new Float64Array(length).fill(Number.POSITIVE_INFINITY);
  const maxs = new Float64Array(length).fill(Number.NEGATIVE_INFINITY);
  const stateCounts: (Map<number, number> | undefined)[] = [];
  const states = new Map<number, number>();

  const add = (cell: number, count: number, min: number, sum: number, max: number): void => {
    if (cell < 0 || cell >= length) return;
    counts[cell] = (counts[cell] ?? 0) + count;
    sums[cell] = (sums[cell] ?? 0) + sum;
    mins[cell] = Math.min(mins[cell] ?? min, min);
    maxs[cell] = Math.max(maxs[cell] ?? max, max);
  };
  const addState = (cell: number, state: number, count: number) => {
    if (!isEnum || cell < 0 || cell >= length) return;
    const known = stateCounts[cell] ?? new Map<number, number>();
    stateCounts[cell] = known;
    known.set(state, (known.get(state) ?? 0) + count);
    states.set(state, (states.get(state) ?? 0) + count);
  };
  const averageOf = (cell: number): number => {
    if (!isEnum) return (sums[cell] ?? 0) / (counts[cell] ?? 1);
    let [longest, most] = [0, 0];
    for (const [state, count] of stateCounts[cell] ?? []) if (count > most) [longest, most] = [state, count];
    return longest;
  };

  return {
    states,
    addColumn({ offsets, values }, hourMs, factor) {
      const end = Math.floor((toMs - hourMs) / TICK_MS);
      const from = Math.ceil((fromMs - hourMs) / TICK_MS);
      let at = 0;
      while (at < offsets.length && (offsets[at] ?? from) < from) at += 1;
      // Cell by cell, because most have several samples.
      while (at < offsets.length && (offsets[at] ?? 0) <= end) {
        const cell = Math.floor((hourMs + (offsets[at] ?? 0) * TICK_MS - startMs) / stepMs);
        const last = Math.min(end, Math.ceil((startMs + (cell + 1) * stepMs - hourMs) / TICK_MS) - 1);
        const first = at;
        let [min, max, sum] = [values[at] ?? 0, values[at] ?? 0, 0];
        for (; at < offsets.length && (offsets[at] ?? 0) <= last; at += 1) {
          const value = values[at] ?? 0;
          min = Math.min(min, value);
          max = Math.max(max, value);
          sum += value;
          if (isEnum) addState(cell, value / factor, 1);
        }
        add(cell, at - first, min / factor, sum / factor, max / factor);
      }
    },
    addBucket(atMs, { count, states: parts }, { min, average, max }) {
      const cell = Math.floor((atMs - startMs) / stepMs);
      add(cell, count, min, average * count, max);
      for (const [state, part] of parts ?? [[average, count] as const]) addState(cell, state, part);
    },
    read() {
      const [min, avg, max]: (number | null)[][] = [[], [], []];
      const most = Math.max(HELD_MS, 3000 * periodSeconds) / stepMs;
      let last = -1;
      for (let cell = 0; cell < length; cell += 1) {
        if ((counts[cell] ?? 0) === 0) {
          min?.push(null);
          avg?.push(null);
          max?.push(null);
          continue;
        }
        const average = averageOf(cell);
        if (last >= 0 && cell - last > 1 && cell - last <= most) {
          const before = avg?.[last] ?? null;
          for (let gap = last + 1; gap < cell; gap += 1)
            for (const line of [min, avg, max]) if (line) line[gap] = before;
        }
        min?.push(mins[cell] ?? null);
        avg?.push(average);
        max?.push(maxs[cell] ?? null);
        last = cell;
      }
      return { min: min ?? [], avg: avg ?? [], max: max ?? [] };
    },
  };
}
