/** What the evaluation of rules reads, and what comes out. The live tick and the replay over history give it the same way. */

import type { Dimension, EntityKind, MetricName } from '#contract/metric-catalogue.ts';

/** null = unknown: there is no fresh sample. */
export type Truth = true | false | null;

export type Labels = Readonly<Record<string, string>>;

export interface SeriesEntity {
  readonly owner: { readonly type: 'host'; readonly id: string } | { readonly type: 'vm'; readonly id: string };
  readonly kind: EntityKind;
  /** '' for the owner itself; of an alert that counts by project: the project. */
  readonly sub: string;
}

export interface ViewedSeries {
  readonly series: number;
  readonly entity: SeriesEntity;
  /** host, vm, uuid, project, tags (joined by commas), kind, and the label that names the entity in its owner. */
  readonly labels: Labels;
}

export interface Window {
  readonly atMs: readonly number[];
  readonly values: readonly number[];
}

export interface SampleView {
  /** Wall time of the moment that is judged. */
  readonly nowMs: number;
  entities(metric: MetricName): Iterable<ViewedSeries>;
  /** The newest sample; ageMs by the monotonic clock. */
  latest(series: number): { readonly value: number; readonly ageMs: number } | null;
  /** Samples of the last `ms`, oldest first. Of a metric that is written only when it changes, the first is the one that held at the start. */
  window(series: number, ms: number): Window;
  /** Entities that exist whether or not they have samples. Hosts and VMs at least. */
  existing(
    kind: EntityKind,
  ): Iterable<{ readonly entity: SeriesEntity; readonly labels: Labels; readonly sinceMs: number }>;
  /** What the value will be in `horizonMs`; null when nobody can say. */
  forecast(series: number, horizonMs: number): number | null;
  /** How often the series is measured at this time, milliseconds: larger hosts are asked less often than the catalogue says.
   *  0 = written when it changes. */
  periodMs(series: number): number;
}

export interface Outcome {
  readonly entity: SeriesEntity;
  readonly labels: Labels;
  readonly truth: Truth;
  /** Whether a firing alert may end, meaningful while it fires: the condition no longer holds by its clear thresholds. */
  readonly isClear: Truth;
  /** The figure that is compared, in the unit of the catalogue; of an enum the number of the name. */
  readonly value: number | null;
  /** What the value is, so that it can be written as people read it; null when there is no value. */
  readonly figure: Figure | null;
}

/** Names belong to an enum. */
export interface Figure {
  readonly dimension: Dimension;
  readonly values: readonly string[] | null;
}
