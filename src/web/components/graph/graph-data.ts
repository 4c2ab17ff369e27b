/** What a graph shows: times, lines and marks. Null is a gap. */

import type { Dimension } from '#contract/metric-catalogue.ts';

/** Colours that stay apart for colour-blind eyes; processors are the first, memory is the second. */
export type SeriesColour = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

export interface GraphLine {
  /** Stable while the graph lives. */
  readonly id: string;
  readonly label: string;
  readonly colour: SeriesColour;
  /** The second of a pair, as writes beside reads. */
  readonly isDashed?: boolean;
  readonly values: readonly (number | null)[];
  /** Least and most in each step, where a step holds several samples. */
  readonly band?: { readonly min: readonly (number | null)[]; readonly max: readonly (number | null)[] };
}

/** Something that happened. */
export interface GraphMark {
  readonly atMs: number;
  readonly kind: 'operation' | 'alert' | 'state';
  readonly label: string;
}

export interface GraphLimit {
  readonly value: number;
  readonly label: string;
  readonly kind: 'threshold' | 'clear';
}

export interface GraphData {
  readonly title: string;
  readonly dimension: Dimension;
  /** Milliseconds since 1970, growing; each line has a value for each. */
  readonly times: readonly number[];
  readonly lines: readonly GraphLine[];
  /** Top of the scale when values do not pass it, as 1 for shares. */
  readonly scaleMax?: number;
  /** Values that mean something, as the threshold of a rule; the scale holds them. */
  readonly limits?: readonly GraphLimit[];
  /** Stretches of time that stand out, as while an alert fired. */
  readonly spans?: readonly TimeRange[];
  /** Fills below the first line: for amounts, as memory. */
  readonly hasArea?: boolean;
}

/** What is shown of time. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}
