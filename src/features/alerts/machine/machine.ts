/** What the state machine of one alert knows. Times ending in `AtMs` are wall time, for people; all others are monotonic, so that a step
 *  of the wall clock changes nothing. */

import type { AlertPhase } from '#contract/alerts.ts';
import type { Severity } from '#contract/alerts-config.ts';
import { TICK_MS } from '#contract/metric-catalogue.ts';

/** Three-valued logic: null = unknown. */
export type Truth = boolean | null;

/** An operation that keeps alerts of its VM quiet. */
export interface Mask {
  readonly operationId: string;
  /** As `Start web1`. */
  readonly title: string;
  readonly fromAtMs: number;
}

export interface Machine {
  readonly phase: AlertPhase;
  /** How often it fired. */
  readonly episode: number;
  /** When the phase began. */
  readonly sinceAtMs: number;
  /** When the condition began to hold; null when it never did. */
  readonly startedAtMs: number | null;
  readonly endedAtMs: number | null;
  /** For how long what ends the phase has held: the condition while pending, the clear condition while clearing. */
  readonly heldMs: number;
  /** Evaluations in a row that said so. */
  readonly agreed: number;
  /** Of the last evaluation, and of the last one that was not unknown. */
  readonly evaluatedMs: number;
  readonly knownMs: number;
  readonly unknownSinceMs: number | null;
  readonly isNoData: boolean;
  readonly value: number | null;
  readonly severity: Severity;
  readonly acknowledged: { readonly by: string; readonly atMs: number; readonly note: string | null } | null;
  /** Episode that people were told of and have not heard the end of. */
  readonly toldEpisode: number | null;
  /** Beginnings and ends within the last minutes. */
  readonly changesMs: readonly number[];
  /** Notices are held back until then, because it came and went so often. */
  readonly quietUntilMs: number | null;
  /** What kept it quiet, in the phase `suppressed` and in the episode that followed. */
  readonly mask: Mask | null;
}

/** How a rule drives its machines. */
export interface Policy {
  readonly severity: Severity;
  readonly forMs: number;
  readonly keepFiringMs: number;
  readonly noData: 'keep' | 'alert' | 'ok';
  /** Longest period of the figures it looks at, as the catalogue says; of a thing that is measured less often, that. */
  readonly periodMs: number;
  /** Fires at the first evaluation: its figures are events. */
  readonly isAtOnce: boolean;
}

/** Why an alert ends without its condition having cleared. */
export type Closing = 'removed' | 'stopped' | 'rule_removed' | 'rule_changed' | 'rule_disabled';

/** What one evaluation saw of one thing. */
export interface Observation {
  readonly truth: Truth;
  /** The clear condition; looked at while firing and clearing. */
  readonly isClear: Truth;
  readonly value: number | null;
  readonly mask: Mask | null;
  /** The source of its figures is lost: everything stays as it is. */
  readonly isFrozen: boolean;
  /** False for a while after a start, until figures can be trusted again. */
  readonly canResolve: boolean;
  readonly closing: Closing | null;
}

export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** Repeats of what still fires are the notifications' own. */
export type NoticeKind = 'firing' | 'severity_raised' | 'resolved' | 'flapping';

/** What a step brings about. */
export type Effect =
  | { readonly type: 'notice'; readonly kind: NoticeKind; readonly episode: number; readonly reason: string | null }
  | {
      readonly type: 'event';
      readonly kind: 'firing' | 'resolved' | 'suppressed' | 'severity_raised' | 'flapping' | 'nodata';
      readonly reason: string | null;
    };

export interface Step {
  readonly machine: Machine;
  readonly effects: readonly Effect[];
}

export { TICK_MS };

/** Evaluations come a little early or late. */
const SLACK_MS = TICK_MS / 2;
/** A hole of more periods than this begins the waiting anew. */
export const GAP_PERIODS = 2;
/** Figures that stay away for more periods than this are no data. */
export const UNKNOWN_PERIODS = 3;
export const FLAP_WINDOW_MS = 5 * 60_000;
export const FLAP_CHANGES = 5;
export const FLAP_HOLD_MS = 15 * 60_000;

/** Whether so much time has passed, give or take half a tick. */
export const hasPassed = (ms: number, wantedMs: number): boolean => ms + SLACK_MS >= wantedMs;
/** Whether more than so much time has passed, give or take half a tick. */
export const isOver = (ms: number, limitMs: number): boolean => ms > limitMs + SLACK_MS;

/** A thing that nothing was wrong with yet. */
export function newMachine(severity: Severity, { monotonicMs, wallMs }: Moment): Machine {
  return {
    phase: 'ok',
    episode: 0,
    sinceAtMs: wallMs,
    startedAtMs: null,
    endedAtMs: null,
    heldMs: 0,
    agreed: 0,
    evaluatedMs: monotonicMs,
    knownMs: monotonicMs,
    unknownSinceMs: null,
    isNoData: false,
    value: null,
    severity,
    acknowledged: null,
    toldEpisode: null,
    changesMs: [],
    quietUntilMs: null,
    mask: null,
  };
}

/** Whether the machine has nothing to wait for: then only a condition that holds can change it. */
export const isIdle = (machine: Machine): boolean => machine.phase === 'ok' && machine.toldEpisode === null;
