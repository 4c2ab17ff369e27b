/** The history of figures as this slice asks for it; the slice `metrics` is what answers. */

import type { MetricName } from '#contract/metric-catalogue.ts';
import type { Tick as FullTick, Series, SeriesKey } from '#features/metrics/index.ts';

export type { Series, SeriesKey } from '#features/metrics/index.ts';

/** One moment at which figures were measured. */
export type Tick = Pick<FullTick, 'atMs' | 'monotonicMs'>;

export interface Figures {
  /** After the samples can be read. */
  onTick(listener: (tick: Tick) => void): () => void;
  /** Those of a metric that have a sample in the last hour. */
  seriesOf(metric: MetricName): readonly Series[];
  latest(seriesId: number): { readonly value: number; readonly ageMs: number } | null;
  /** How often it is measured now, milliseconds; 0 = when it changes. */
  periodMs(seriesId: number): number;
  window(
    seriesId: number,
    durationMs: number,
  ): { readonly atMs: readonly number[]; readonly values: readonly number[] };
  /** @throws metrics_budget when that is too much */
  read(request: {
    readonly metric: MetricName;
    readonly fromMs: number;
    readonly toMs: number;
    /** Of a coarser step; absent = as they were measured. */
    readonly points?: number;
    readonly signal?: AbortSignal;
  }): Promise<{
    readonly stepMs: number;
    readonly tier: 'raw' | '5m' | '1h';
    readonly series: readonly {
      readonly key: SeriesKey;
      readonly atMs: readonly number[];
      readonly min: readonly (number | null)[];
      readonly max: readonly (number | null)[];
    }[];
  }>;
  labelsOf(key: SeriesKey): Readonly<Record<string, string>>;
}
