/** Figures as answers of the API say them: whose they are by name, enums by the name of their state. */

import { definitionOf, type MetricName } from '#contract/metric-catalogue.ts';
import type { LatestFigure, Metric, MetricEntity, MetricSeries } from '#contract/metrics.ts';
import type { SeriesKey } from '../sample.ts';
import type { ReadSeries } from './read.ts';

export function metricOf(name: MetricName): Metric {
  const { dimension, kinds, periodSeconds, decimals, values, help } = definitionOf(name);
  return {
    name,
    dimension,
    kinds: [...kinds],
    periodSeconds,
    decimals,
    values: values === undefined ? null : [...values],
    help,
  };
}

/** What people call an owner. */
export type OwnerNames = (owner: SeriesKey['owner']) => { readonly name: string; readonly project: string | null };

export function entityOf({ owner, kind, sub }: SeriesKey, namesOf: OwnerNames): MetricEntity {
  return { owner: owner.type, id: owner.id, ...namesOf(owner), kind, sub };
}

export function latestOf(
  key: SeriesKey,
  { value, atMs, ageMs }: { readonly value: number; readonly atMs: number; readonly ageMs: number },
  namesOf: OwnerNames,
): LatestFigure {
  return {
    ...entityOf(key, namesOf),
    metric: key.metric,
    value,
    state: definitionOf(key.metric).values?.[value] ?? null,
    at: new Date(atMs).toISOString(),
    ageSeconds: Math.max(0, Math.round(ageMs / 1000)),
  };
}

/** Digits behind the point that say something: those of the samples, and two more for means. */
export function seriesOf(read: ReadSeries, namesOf: OwnerNames): MetricSeries {
  const { values, decimals } = definitionOf(read.key.metric);
  const factor = 10 ** (decimals + 2);
  const rounded = (value: number | null) => (value === null ? null : Math.round(value * factor) / factor);
  return {
    ...entityOf(read.key, namesOf),
    metric: read.key.metric,
    atMs: [...read.atMs],
    min: [...read.min],
    avg: read.avg.map(rounded),
    max: [...read.max],
    stateSeconds:
      values === undefined || read.stateSeconds === null
        ? null
        : Object.fromEntries(
            [...read.stateSeconds].map(([state, seconds]) => [values[state] ?? String(state), seconds]),
          ),
  };
}
