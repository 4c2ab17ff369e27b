/** A history of figures in memory, for tests: samples are put at ticks, live readers see them up to the newest tick. */

import { definitionOf } from '#contract/metric-catalogue.ts';
import { AppError } from '#kernel/errors.ts';
import type { Figures, Series, SeriesKey, Tick } from './figures.ts';
import { TICK_MS } from './machine/machine.ts';

export interface Sample {
  readonly key: SeriesKey;
  readonly value: number;
}

export interface FakeFigures extends Figures {
  /** How often all is measured from now on, where that is less often than the catalogue says. */
  leastPeriodMs: number;
  /** More samples of one metric than this are too many for one answer. */
  mostSamples: number;
  /** The series of an owner are no more. */
  forget(ownerId: string): void;
  /** Puts the samples of one moment and tells the listeners. */
  tick(tick: Tick, samples: readonly Sample[]): void;
}

interface Kept extends Series {
  readonly atMs: number[];
  readonly monotonicMs: number[];
  readonly values: number[];
}

const SEEN_FOR_MS = 3_600_000;

/** @param names what VMs are called, by id */
export function createFakeFigures(names: ReadonlyMap<string, string>): FakeFigures {
  const kept: Kept[] = [];
  const gone = new Set<string>();
  const listeners = new Set<(tick: Tick) => void>();
  let now: Tick = { atMs: 0, monotonicMs: 0 };
  const nameOf = ({ owner, kind, sub, metric }: SeriesKey) => `${owner.type} ${owner.id} ${kind} ${sub} ${metric}`;
  const find = (key: SeriesKey) => kept.find((series) => nameOf(series) === nameOf(key));
  const ageOf = (series: Kept) => now.monotonicMs - (series.monotonicMs.at(-1) ?? Number.NEGATIVE_INFINITY);

  const fake: FakeFigures = {
    leastPeriodMs: 0,
    mostSamples: Number.POSITIVE_INFINITY,
    forget(ownerId) {
      gone.add(ownerId);
    },
    tick(tick, samples) {
      now = tick;
      for (const { key, value } of samples) {
        let series = find(key);
        if (series === undefined) {
          series = { ...key, id: kept.length, atMs: [], monotonicMs: [], values: [] };
          kept.push(series);
        }
        series.atMs.push(tick.atMs);
        series.monotonicMs.push(tick.monotonicMs);
        series.values.push(value);
      }
      for (const listener of listeners) listener(tick);
    },
    onTick(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    seriesOf: (metric) =>
      kept.filter(
        (series) =>
          series.metric === metric &&
          !gone.has(series.owner.id) &&
          (definitionOf(metric).periodSeconds === 0 || ageOf(series) <= SEEN_FOR_MS),
      ),
    latest(id) {
      const series = kept[id];
      const value = series?.values.at(-1);
      return series === undefined || value === undefined ? null : { value, ageMs: ageOf(series) };
    },
    periodMs(id) {
      const series = kept[id];
      const usualMs = series === undefined ? 0 : definitionOf(series.metric).periodSeconds * 1000;
      return usualMs === 0 ? 0 : Math.max(usualMs, fake.leastPeriodMs);
    },
    window(id, durationMs) {
      const series = kept[id];
      if (series === undefined) return { atMs: [], values: [] };
      const from = series.monotonicMs.findIndex((ms) => now.monotonicMs - ms <= durationMs);
      return from < 0 ? { atMs: [], values: [] } : { atMs: series.atMs.slice(from), values: series.values.slice(from) };
    },
    async read({ metric, fromMs, toMs, points }) {
      const stepMs = points === undefined ? TICK_MS : (toMs - fromMs) / points;
      const series = kept
        .filter((one) => one.metric === metric)
        .map(({ owner, kind, sub, atMs, values }) => {
          const steps = Map.groupBy(
            [...atMs.keys()].filter((n) => (atMs[n] ?? 0) >= fromMs && (atMs[n] ?? 0) <= toMs),
            (n) => (points === undefined ? (atMs[n] ?? 0) : Math.floor((atMs[n] ?? 0) / stepMs) * stepMs),
          );
          const of = [...steps.values()].map((picked) => picked.map((n) => values[n] ?? 0));
          return {
            key: { owner, kind, sub, metric },
            atMs: [...steps.keys()],
            min: of.map((those) => Math.min(...those)),
            max: of.map((those) => Math.max(...those)),
          };
        });
      if (series.reduce((sum, one) => sum + one.atMs.length, 0) > fake.mostSamples)
        throw new AppError('metrics_budget', { detail: 'Those are too many samples.' });
      const tier = stepMs >= 3_600_000 ? '1h' : stepMs >= 300_000 ? '5m' : 'raw';
      return { stepMs, tier, series };
    },
    labelsOf({ owner, kind, sub }) {
      const labels: Record<string, string> = { host: 'host1', kind };
      if (owner.type === 'vm') labels['vm'] = names.get(owner.id) ?? owner.id;
      if (sub !== '') labels['part'] = sub;
      return labels;
    },
  };
  return fake;
}
