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

/** In the order of the legend. */
export const MARK_KINDS = [
  'operation',
  'backup',
  'restore',
  'proof',
  'migration',
  'restart',
  'healing',
  'alert',
] as const;
export type MarkKind = (typeof MARK_KINDS)[number];

/** Something that happened. */
export interface GraphMark {
  readonly id: string;
  readonly kind: MarkKind;
  readonly label: string;
  readonly fromMs: number;
  /** The same as its beginning for what took no time; null while it goes on. */
  readonly toMs: number | null;
  readonly outcome: 'good' | 'bad' | 'cancelled' | 'open';
  /** The page that tells more. */
  readonly href: string;
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
