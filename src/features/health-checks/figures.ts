/** What was measured, as checks ask for it: the newest figures that are not stale, by the names that people know. */

import { definitionOf, type EntityKind, type MetricName, VM_KINDS } from '#contract/metric-catalogue.ts';
import type { MetricsApi, Owner, Series } from '#features/metrics/index.ts';

export interface Figure {
  readonly series: number;
  /** As `web1`, `web1 /home`, `/var`, `sda`. */
  readonly name: string;
  readonly owner: Owner;
  readonly sub: string;
  readonly kind: EntityKind;
  readonly value: number;
}

export interface Figures {
  /** The newest of each thing; none that is older than three of its periods. */
  fresh(metric: MetricName, kind?: EntityKind): readonly Figure[];
  /** Whether anything of it was measured in the last hour. */
  wasMeasured(metric: MetricName, kind?: EntityKind): boolean;
  /** Values of the last time, oldest first. */
  values(figure: Pick<Figure, 'series'>, ms: number): readonly number[];
  samples(figure: Pick<Figure, 'series'>, ms: number): ReturnType<MetricsApi['window']>;
  /** Mean of the last time; the newest when nothing else was measured in it. */
  mean(figure: Figure, ms: number): number;
  /** How much a count grew in the last time. A count that begins anew does not count backwards. */
  growth(figure: Figure, ms: number): number;
  /** What it will be; null with too little history. */
  forecast(figure: Pick<Figure, 'series'>, horizonMs: number): number | null;
}

const STALE_PERIODS = 3;
const TICK_MS = 10_000;

export function createFigures(
  metrics: Pick<MetricsApi, 'seriesOf' | 'latest' | 'window' | 'labelsOf' | 'forecast'>,
): Figures {
  const seriesOf = (metric: MetricName, kind: EntityKind | undefined) =>
    metrics.seriesOf(metric).filter((series) => kind === undefined || series.kind === kind);
  const nameOf = (series: Series): string => {
    const labels = metrics.labelsOf(series);
    if (series.kind === 'host') return labels['host'] ?? series.owner.id;
    if (!VM_KINDS.includes(series.kind)) return series.sub;
    const vm = labels['vm'] ?? series.owner.id;
    return series.sub === '' ? vm : `${vm} ${series.sub}`;
  };
  const values = (figure: Pick<Figure, 'series'>, ms: number) => metrics.window(figure.series, ms).values;

  return {
    fresh(metric, kind) {
      const { periodSeconds } = definitionOf(metric);
      const staleMs = periodSeconds === 0 ? Number.POSITIVE_INFINITY : STALE_PERIODS * periodSeconds * 1000 + TICK_MS;
      return seriesOf(metric, kind).flatMap((series) => {
        const newest = metrics.latest(series.id);
        if (newest === null || newest.ageMs > staleMs) return [];
        const { id, owner, sub, kind: kindOf } = series;
        return [{ series: id, name: nameOf(series), owner, sub, kind: kindOf, value: newest.value }];
      });
    },
    wasMeasured: (metric, kind) => seriesOf(metric, kind).length > 0,
    values,
    samples: (figure, ms) => metrics.window(figure.series, ms),
    mean(figure, ms) {
      const all = values(figure, ms);
      return all.length === 0 ? figure.value : all.reduce((sum, value) => sum + value, 0) / all.length;
    },
    growth: (figure, ms) =>
      values(figure, ms).reduce((sum, value, n, all) => sum + Math.max(0, n === 0 ? 0 : value - (all[n - 1] ?? 0)), 0),
    forecast: ({ series }, horizonMs) => metrics.forecast(series, horizonMs),
  };
}
