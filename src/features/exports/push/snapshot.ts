/** All exported figures of one moment, small enough to keep many: what a series is called is held once, a moment only points there. */

import type { MetricFamily } from '#platform/feature.ts';

export interface PushSeries {
  readonly name: string;
  readonly type: MetricFamily['type'];
  readonly unit: MetricFamily['unit'];
  readonly help: string;
  /** Sorted by name, values never empty: to the systems that take them an empty label is none. */
  readonly labels: readonly (readonly [name: string, value: string])[];
}

export interface Snapshot {
  /** Wall time in milliseconds. */
  readonly atMs: number;
  /** No two alike; those of a name follow each other. */
  readonly series: readonly PushSeries[];
  readonly values: Float64Array;
}

interface Held {
  readonly series: PushSeries;
  usedAt: number;
}

/** A series that is gone is forgotten after so many moments: longer than any queue. */
const FORGET_AFTER = 120;

export function createSnapshots() {
  const held = new Map<string, Held>();
  let moment = 0;

  const seriesOf = (family: MetricFamily, labels: PushSeries['labels']): Held => {
    let key = family.name;
    for (const [name, value] of labels) key += `\u0000${name}\u0000${value}`;
    const known = held.get(key);
    if (known !== undefined) return known;
    const { name, type, unit, help } = family;
    const added: Held = { series: { name, type, unit, help, labels }, usedAt: -1 };
    held.set(key, added);
    return added;
  };

  return {
    /** @param host label of samples that have none */
    take(families: readonly MetricFamily[], host: string, atMs: number): Snapshot {
      moment += 1;
      const series: PushSeries[] = [];
      const values: number[] = [];
      for (const family of families) {
        for (const { labels, value } of family.samples) {
          const found = seriesOf(family, sorted({ host, ...labels }));
          if (found.usedAt === moment || !Number.isFinite(value)) continue;
          found.usedAt = moment;
          series.push(found.series);
          values.push(value);
        }
      }
      if (moment % FORGET_AFTER === 0)
        for (const [key, { usedAt }] of held) if (moment - usedAt >= FORGET_AFTER) held.delete(key);
      return { atMs, series, values: Float64Array.from(values) };
    },
  };
}

function sorted(labels: Readonly<Record<string, string>>): PushSeries['labels'] {
  const pairs = Object.entries(labels).filter(([, value]) => value !== '');
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1));
}
