/** Stored samples as rules saw them at a past moment. Time only goes forward. */

import { definitionOf, type MetricName } from '#contract/metric-catalogue.ts';
import type { SeriesKey } from '../figures.ts';
import type { Labels, SampleView, SeriesEntity } from '../rule-language.ts';

export interface StoredSeries {
  readonly key: SeriesKey;
  readonly labels: Labels;
  /** Grows. */
  readonly atMs: readonly number[];
  readonly values: readonly number[];
}

/** Series without a sample for so long are not looked at, as live. */
const SEEN_FOR_MS = 3_600_000;

const DISTANCES = 3;

/** The smallest of the last three distances of samples: two holes close to each other make no period. Never less than the catalogue says. */
function periodOf({ key, atMs, count }: Line): number {
  const usualMs = definitionOf(key.metric).periodSeconds * 1000;
  if (usualMs === 0) return usualMs;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let at = Math.max(1, count - DISTANCES); at < count; at += 1)
    leastMs = Math.min(leastMs, (atMs[at] ?? 0) - (atMs[at - 1] ?? 0));
  return leastMs === Number.POSITIVE_INFINITY ? usualMs : Math.max(usualMs, leastMs);
}

interface Line extends StoredSeries {
  /** Samples that lie before or at the moment. */
  count: number;
}

export interface StoredView extends SampleView {
  moveTo(nowMs: number): void;
}

export function createStoredView(series: readonly StoredSeries[]): StoredView {
  const lines: readonly Line[] = series.map((one) => ({ ...one, count: 0 }));
  const byMetric = new Map<MetricName, { readonly id: number; readonly entity: SeriesEntity; readonly line: Line }[]>();
  for (const [id, line] of lines.entries()) {
    const { owner, kind, sub, metric } = line.key;
    const own = byMetric.get(metric) ?? [];
    byMetric.set(metric, own);
    own.push({ id, entity: { owner, kind, sub }, line });
  }
  let nowMs = 0;
  const isEvent = (line: Line) => definitionOf(line.key.metric).periodSeconds === 0;
  const lastAt = (line: Line): number | undefined => (line.count === 0 ? undefined : line.atMs[line.count - 1]);

  return {
    get nowMs() {
      return nowMs;
    },
    moveTo(ms) {
      nowMs = ms;
      for (const line of lines) {
        let { count } = line;
        // The first time goes over all that was before.
        for (let leap = 4096; leap > 1; leap /= 2)
          while ((line.atMs[count + leap - 1] ?? Number.POSITIVE_INFINITY) <= ms) count += leap;
        while (count < line.atMs.length && (line.atMs[count] ?? 0) <= ms) count += 1;
        line.count = count;
      }
    },
    *entities(metric) {
      for (const { id, entity, line } of byMetric.get(metric) ?? []) {
        const at = lastAt(line);
        if (at !== undefined && (isEvent(line) || nowMs - at <= SEEN_FOR_MS))
          yield { series: id, entity, labels: line.labels };
      }
    },
    latest(id) {
      const line = lines[id];
      const at = line === undefined ? undefined : lastAt(line);
      const value = line?.values[line.count - 1];
      return at === undefined || value === undefined ? null : { value, ageMs: nowMs - at };
    },
    periodMs(id) {
      const line = lines[id];
      return line === undefined ? 0 : periodOf(line);
    },
    window(id, ms) {
      const line = lines[id];
      if (line === undefined) return { atMs: [], values: [] };
      let from = line.count;
      while (from > 0 && (line.atMs[from - 1] ?? 0) >= nowMs - ms) from -= 1;
      // What is written when it changes held until then.
      if (isEvent(line) && from > 0 && line.atMs[from] !== nowMs - ms) from -= 1;
      return { atMs: line.atMs.slice(from, line.count), values: line.values.slice(from, line.count) };
    },
    *existing(kind) {
      const seen = new Set<string>();
      for (const { key, labels, count, atMs } of lines) {
        const { owner } = key;
        if (owner.type !== kind || count === 0 || seen.has(owner.id)) continue;
        seen.add(owner.id);
        yield { entity: { owner, kind, sub: '' }, labels, sinceMs: atMs[0] ?? 0 };
      }
    },
    forecast: () => null,
  };
}
