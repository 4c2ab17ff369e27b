/** A history that is written as fast as it can be, to be killed: `metrics-worker.ts FILE FIRST-TICK`. Prints the number of each tick
 *  that is on disk, one a line; the value of each sample says which tick it belongs to. */

import { writeSync } from 'node:fs';
import { createHistory } from '#features/metrics/store/history.ts';
import { createIntake } from '#features/metrics/store/intake.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';

const STDOUT = 1;
const VMS = 30;
const TICK_MS = 10_000;
const [path = '', first = '0'] = process.argv.slice(2);
const clock = new TestClock(new Date(Number(first) * TICK_MS));
const history = createHistory({
  path,
  clock,
  log: silentLogger,
  limits: () => ({ rawDays: 365, fiveMinuteDays: 365, hourDays: 730, maxBytes: 2 ** 40 }),
  isGone: () => false,
  diskAnswers: async () => undefined,
});
await history.start();
const intake = createIntake({ book: history.book, log: silentLogger, isActive: () => true, onPeriod: () => undefined });
for (let tick = Number(first) + 1; ; tick += 1) {
  await clock.advance(TICK_MS);
  const { sink, close } = intake.open();
  for (let n = 0; n < VMS; n += 1)
    sink.put({ type: 'vm', id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` }, 'vm', '', 'mem_used', tick);
  history.take(close(), tick, clock.monotonicMs());
  await history.persist();
  writeSync(STDOUT, `${tick}\n`);
  await history.maintain(true);
}
