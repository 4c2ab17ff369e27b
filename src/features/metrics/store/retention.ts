/** Forgets what is too old, and the oldest when the file gets too large; a little at a time, and never with a VACUUM, which would write
 *  the whole file anew. */

import type { MetricsFile } from './file.ts';
import type { SeriesRows } from './series-rows.ts';

export interface RetentionLimits {
  readonly rawDays: number;
  readonly fiveMinuteDays: number;
  readonly hourDays: number;
  readonly maxBytes: number;
}

export interface Retention {
  /** Does one small step. Answers whether there is more to do.
   *  @param nowHour hours since 1970
   *  @param isDateBelieved false = nothing is deleted by its age */
  step(nowHour: number, isDateBelieved: boolean): boolean;
}

const HOURS_PER_DAY = 24;
/** Chunks or rows in one step. */
const STEP_ROWS = 100;
const VACUUM_PAGES = 500;
/** Pages that are free inside the file are used again; only many of them are given back to the file system. */
const KEPT_FREE_BYTES = 32 * 2 ** 20;
/** What lies further ahead than the present was written by a clock that was wrong. */
const FUTURE_HOURS = 2;

export function createRetention(
  { sqlite, size, transaction }: MetricsFile,
  rows: SeriesRows,
  limits: () => RetentionLimits,
): Retention {
  const oldChunks = sqlite.prepare(
    'DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE hour < ? ORDER BY hour LIMIT ?)',
  );
  const oldRollups = sqlite.prepare(
    'DELETE FROM rollup WHERE id IN (SELECT id FROM rollup WHERE tier = ? AND hour + hours <= ? AND hour < ? LIMIT ?)',
  );
  const futureChunks = sqlite.prepare('DELETE FROM chunk WHERE id IN (SELECT id FROM chunk WHERE hour > ? LIMIT ?)');
  const futureRollups = sqlite.prepare(
    'DELETE FROM rollup WHERE id IN (SELECT id FROM rollup WHERE tier = ? AND hour > ? LIMIT ?)',
  );
  const oldestChunk = sqlite.prepare('SELECT min(hour) AS hour FROM chunk');
  const oldestRollup = sqlite.prepare('SELECT min(hour) AS hour FROM rollup WHERE tier = ?');
  const vacuum = sqlite.prepare(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
  const changed = (work: () => number | bigint): boolean => {
    let changes: number | bigint = 0;
    transaction(() => {
      changes = work();
    });
    return changes > 0;
  };
  const dropRollups = (tier: number, beforeHour: number) =>
    changed(() => oldRollups.run(tier, beforeHour, beforeHour, STEP_ROWS).changes);

  const byAge = (nowHour: number): boolean => {
    const { rawDays, fiveMinuteDays, hourDays } = limits();
    const daysAgo = (days: number) => nowHour - days * HOURS_PER_DAY;
    return (
      changed(() => oldChunks.run(daysAgo(rawDays), STEP_ROWS).changes) ||
      dropRollups(300, daysAgo(fiveMinuteDays)) ||
      dropRollups(3600, daysAgo(hourDays)) ||
      changed(() => futureChunks.run(nowHour + FUTURE_HOURS, STEP_ROWS).changes) ||
      changed(() => futureRollups.run(300, nowHour + FUTURE_HOURS, STEP_ROWS).changes) ||
      changed(() => futureRollups.run(3600, nowHour + FUTURE_HOURS, STEP_ROWS).changes) ||
      changed(() => rows.deleteOwnersBefore(daysAgo(Math.max(rawDays, fiveMinuteDays, hourDays)), STEP_ROWS))
    );
  };

  /** The oldest hours of the finest tier go first. */
  const bySize = (): boolean => {
    if (size().usedBytes <= limits().maxBytes) return false;
    const chunk = oldestChunk.get()?.['hour'];
    if (typeof chunk === 'number') return changed(() => oldChunks.run(chunk + 1, STEP_ROWS).changes);
    for (const tier of [300, 3600]) {
      const hour = oldestRollup.get(tier)?.['hour'];
      if (typeof hour === 'number') return dropRollups(tier, hour + HOURS_PER_DAY);
    }
    return false;
  };

  return {
    step(nowHour, isDateBelieved) {
      if (isDateBelieved && byAge(nowHour)) return true;
      if (bySize()) return true;
      if (size().freeBytes <= KEPT_FREE_BYTES) return false;
      vacuum.all();
      return true;
    },
  };
}
