/** Whether the date can be believed. A machine that starts with a wrong clock, or whose clock is set wrongly, would delete at once
 *  everything that is kept for a time; so after a leap of the date nothing is deleted by its age until a day of running has passed. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import { formatDuration } from '#kernel/units.ts';
import type { Database, Migration } from './db/database.ts';

const DAY_MS = 86_400_000;
/** A machine that was off for a night has not leapt. */
const LEAP_MS = DAY_MS;
const DOUBT_MS = DAY_MS;
const LOOK_EVERY_MS = 60_000;

export interface Leap {
  /** How far the date leapt, in milliseconds; negative = back. */
  readonly byMs: number;
  /** Monotonic time at which the date is believed again. */
  readonly untilMs: number;
}

export interface Calendar {
  /** The leap for which the date is not believed now; null = it is. Whoever deletes by age asks before each time. */
  leap(): Leap | null;
  /** Reads when the daemon last ran; before anything else asks. */
  load(): Promise<void>;
  /** Looks each minute and keeps the date. Ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

interface CalendarTables {
  calendar: { id: 1; seen_at: string; leap_ms: number; doubt_left_ms: number };
}

export const calendarMigrations: readonly Migration[] = [
  {
    id: '001-calendar',
    statements: ['CREATE TABLE calendar(id INTEGER PRIMARY KEY CHECK(id = 1), seen_at TEXT NOT NULL) STRICT'],
  },
  {
    id: '002-doubt',
    statements: [
      'ALTER TABLE calendar ADD COLUMN leap_ms INTEGER NOT NULL DEFAULT 0',
      'ALTER TABLE calendar ADD COLUMN doubt_left_ms INTEGER NOT NULL DEFAULT 0',
    ],
  },
];

export function createCalendar({ db, clock, log }: { db: Database; clock: Clock; log: Logger }): Calendar {
  let last = { wallMs: clock.now().getTime(), monotonicMs: clock.monotonicMs() };
  let leap: Leap | null = null;

  const notice = (byMs: number) => {
    if (Math.abs(byMs) < LEAP_MS) return;
    leap = { byMs, untilMs: clock.monotonicMs() + DOUBT_MS };
    log.warn(
      { byMs },
      `the date leapt by ${formatDuration(Math.abs(byMs))} ${byMs > 0 ? 'ahead' : 'back'}; nothing is deleted by its age for a day`,
    );
  };

  /** A clock that runs true goes as far as the monotonic one. */
  const look = () => {
    const now = { wallMs: clock.now().getTime(), monotonicMs: clock.monotonicMs() };
    notice(now.wallMs - last.wallMs - (now.monotonicMs - last.monotonicMs));
    last = now;
    if (leap && now.monotonicMs >= leap.untilMs) leap = null;
  };

  const keep = async () => {
    const values = {
      seen_at: clock.now().toISOString(),
      leap_ms: Math.round(leap?.byMs ?? 0),
      // A restart does not end the doubt: the clock may be as wrong as before.
      doubt_left_ms: leap === null ? 0 : Math.round(leap.untilMs - clock.monotonicMs()),
    };
    // In a transaction, which first asks whether the disk answers.
    await db.transaction((tx) =>
      tx
        .tables<CalendarTables>()
        .insertInto('calendar')
        .values({ id: 1, ...values })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute(),
    );
  };

  return {
    leap() {
      look();
      return leap;
    },
    async load() {
      const row = await db.tables<CalendarTables>().selectFrom('calendar').selectAll().executeTakeFirst();
      if (!row) return;
      if (row.doubt_left_ms > 0) leap = { byMs: row.leap_ms, untilMs: clock.monotonicMs() + row.doubt_left_ms };
      notice(clock.now().getTime() - Date.parse(row.seen_at));
    },
    async run(signal) {
      while (!signal.aborted) {
        try {
          look();
          await keep();
        } catch (error) {
          // Only a start after a long rest is told from a leap by it; the next minute tries again.
          log.debug({ err: error }, 'the date could not be kept');
        }
        await nap(clock, LOOK_EVERY_MS, signal);
      }
    },
  };
}
