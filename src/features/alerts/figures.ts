/** The history of figures as this slice asks for it; the slice `metrics` is what answers. */

import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';

/** `host` or the id of a VM: whose figures lie together. */
export type Owner = { readonly type: 'host'; readonly id: string } | { readonly type: 'vm'; readonly id: string };

export interface SeriesKey {
  readonly owner: Owner;
  readonly kind: EntityKind;
  /** '' for the owner itself. */
  readonly sub: string;
  readonly metric: MetricName;
}

export interface Series extends SeriesKey {
  readonly id: number;
}

/** One moment at which figures were measured. */
export interface Tick {
  readonly atMs: number;
  readonly monotonicMs: number;
}

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
  read(request: {
    readonly metric: MetricName;
    readonly fromMs: number;
    readonly toMs: number;
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
