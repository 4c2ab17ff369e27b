/** When a schedule runs: moments of a cron text on the wall clock of a time zone. An hour that is skipped when clocks go forward is made
 *  up for right after it; one that comes twice counts once, unless every hour is meant. */

import { Cron } from 'croner';

export interface RunCalendar {
  /** The first moment after this one; null = never again. Milliseconds since the epoch. */
  next(afterMs: number): number | null;
  /** The longest time between two runs that follow each other, from this moment on: as from Friday to Monday. */
  longestGapMs(fromMs: number): number;
  /** The shortest. */
  shortestGapMs(fromMs: number): number;
}

/** So many runs are looked at for gaps: some weeks of one that runs several times a day, years of a monthly one. */
const LOOKED_AT = 64;
const NEVER_MS = Number.MAX_SAFE_INTEGER;

/** @param text five fields, as `calendarSchema` lets them through @throws RangeError or TypeError for others */
export function runCalendar(text: string, timeZone: string): RunCalendar {
  const cron = new Cron(text, { timezone: timeZone, mode: '5-part', paused: true });
  const next = (afterMs: number) => cron.nextRun(new Date(afterMs))?.getTime() ?? null;
  let known: { readonly longest: number; readonly shortest: number } | null = null;
  /** Asked for again and again, and dear; of the first moment that is asked for it holds well enough for all. */
  const gaps = (fromMs: number) => {
    if (known) return known;
    const runs = cron.nextRuns(LOOKED_AT, new Date(fromMs)).map((at) => at.getTime());
    const between = runs.slice(1).map((at, n) => at - (runs[n] ?? at));
    known = {
      longest: between.length === 0 ? NEVER_MS : Math.max(...between),
      shortest: Math.min(NEVER_MS, ...between),
    };
    return known;
  };
  return {
    next,
    longestGapMs: (fromMs) => gaps(fromMs).longest,
    shortestGapMs: (fromMs) => gaps(fromMs).shortest,
  };
}
