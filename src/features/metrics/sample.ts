/** Samples as they go from collectors into the history and to the rules: one tick is one moment with many numbers, keyed by the id of
 *  a series, so that thousands of them cost little. */

import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';

/** `host` or the id of a VM: whose figures lie together. */
export type Owner = { readonly type: 'host'; readonly id: string } | { readonly type: 'vm'; readonly id: string };

/** One line of a graph. */
export interface SeriesKey {
  readonly owner: Owner;
  readonly kind: EntityKind;
  /** Names the entity inside its owner, as `vda`, a MAC or a mount point; '' for the owner itself. */
  readonly sub: string;
  readonly metric: MetricName;
}

export interface Series extends SeriesKey {
  /** Small and stable while the history lives. */
  readonly id: number;
}

/** One moment. `ids[n]` goes with `values[n]`; a series is there at most once. */
export interface Tick {
  /** Wall time in milliseconds, a multiple of the tick's length. Goes back when the clock is set back. */
  readonly atMs: number;
  /** For durations: never jumps. */
  readonly monotonicMs: number;
  readonly ids: ArrayLike<number>;
  /** In the units of the catalogue, rounded to its decimals; never NaN or infinite. */
  readonly values: ArrayLike<number>;
}

/** Where a collector puts what it measured. */
export interface SampleSink {
  /** Takes a number; null, NaN and infinities are no sample. Numbers that are not exact are refused and counted.
   *  The first of a moment counts. @throws TypeError for a figure that this kind of thing does not have
   *  @param periodMs how long it is until the next, where that may be longer than the catalogue says */
  put(
    owner: Owner,
    kind: EntityKind,
    sub: string,
    metric: MetricName,
    value: number | null,
    periodMs?: number | undefined,
  ): void;
}

/** Something that can be measured at each tick. Collecting must end within the tick's deadline; what is late is left out and counted. */
export interface Collector {
  readonly name: string;
  /** Puts what is due at this moment into the sink. A collector with a longer period than a tick looks at the clock itself.
   *  @param signal aborted at the deadline; what was put until then counts */
  collect(sink: SampleSink, signal: AbortSignal): Promise<void> | void;
}
