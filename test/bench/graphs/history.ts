/** Hours of one VM in the file of a daemon that does not run yet. */

import { join } from 'node:path';
import { TICKS_PER_HOUR } from '#features/metrics/store/head-runs.ts';
import { createHistory, TICK_MS } from '#features/metrics/store/history.ts';
import { createIntake } from '#features/metrics/store/intake.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { loadOf } from '../metrics/load.ts';

/** @param endMs time of the last sample */
export async function writeHours(stateDir: string, endMs: number, hours: number): Promise<void> {
  const ticks = hours * TICKS_PER_HOUR;
  const clock = new TestClock(new Date(endMs - ticks * TICK_MS));
  const history = createHistory({
    path: join(stateDir, 'metrics.db'),
    clock,
    log: silentLogger,
    limits: () => ({ rawDays: 7, fiveMinuteDays: 60, hourDays: 730, maxBytes: 2 ** 40 }),
    isGone: () => false,
    diskAnswers: async () => undefined,
  });
  await history.start();
  const intake = createIntake({
    book: history.book,
    log: silentLogger,
    isActive: () => true,
    onPeriod: () => undefined,
  });
  const series = loadOf(1, 1, 'hard');
  for (let tick = 0; tick < ticks; tick += 1) {
    await clock.advance(TICK_MS);
    const { sink, close } = intake.open();
    for (const { owner, kind, sub, metric, next } of series) sink.put(owner, kind, sub, metric, next());
    history.take(close(), Math.round(clock.now().getTime() / TICK_MS), clock.monotonicMs());
    await history.persist();
    await history.maintain(true);
  }
  history.close();
}
