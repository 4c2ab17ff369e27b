/** Whether a schedule has to run now. Pure, and true whatever the clock did: however many moments were missed, and however far the date
 *  leapt, there is one run and not none. */

import type { RunCalendar } from '../run-calendar.ts';

export interface DueState {
  /** The moment of the calendar that is waited for, in milliseconds since the epoch. */
  readonly nextMs: number;
  /** How much later than its moment it begins. */
  readonly jitterMs: number;
  readonly isCaughtUp: boolean;
}

export interface DueDecision {
  /** The moment of the calendar that has to be run for now; null = none. */
  readonly runMs: number | null;
  /** What is waited for from now on; null = the calendar has no moment any more. */
  readonly nextMs: number | null;
}

/** A run that begins later than this was missed. */
const LATE_MS = 15 * 60_000;
/** A moment further away than so many of the longest gaps was planned at a date that was wrong. */
const TOO_FAR_GAPS = 1.5;

export function decideDue(calendar: RunCalendar, state: DueState, nowMs: number): DueDecision {
  const { nextMs, isCaughtUp } = state;
  const jitterMs = Math.min(state.jitterMs, Math.floor(calendar.shortestGapMs(nextMs) / 2));
  if (nowMs < nextMs) {
    const isTooFar = nextMs - nowMs > TOO_FAR_GAPS * calendar.longestGapMs(nowMs);
    return { runMs: null, nextMs: isTooFar ? calendar.next(nowMs) : nextMs };
  }
  if (nowMs < nextMs + jitterMs) return { runMs: null, nextMs };
  const next = calendar.next(nowMs);
  if (isCaughtUp) return { runMs: nextMs, nextMs: next };
  const recent = calendar.next(Math.max(nextMs - 1, nowMs - LATE_MS - jitterMs));
  return { runMs: recent !== null && recent <= nowMs ? recent : null, nextMs: next };
}

/** A delay below `limitMs` that belongs to this schedule and moment, so that a restart does not draw another one. */
export function jitterOf(scheduleId: string, dueMs: number, limitMs: number): number {
  if (limitMs <= 0) return 0;
  let hash = 2166136261;
  for (const character of `${scheduleId} ${dueMs}`) hash = Math.imul(hash ^ character.charCodeAt(0), 16777619) >>> 0;
  return Math.floor((hash / 2 ** 32) * limitMs);
}
