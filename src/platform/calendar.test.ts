import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { calendarMigrations, createCalendar } from './calendar.ts';
import { openDatabase } from './db/database.ts';

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;

test('the date is believed while it runs true, doubted for a day after a leap, also over a restart', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hv-calendar-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('calendar', calendarMigrations);
  t.after(async () => {
    await db.close();
    await rm(dir, { recursive: true });
  });
  const clock = new TestClock();
  const kept = async (): Promise<string | undefined> => {
    const tables = db.tables<{ calendar: { seen_at: string } }>();
    return (await tables.selectFrom('calendar').select('seen_at').executeTakeFirst())?.seen_at;
  };
  /** A life of the daemon that keeps the date once. */
  const begin = async () => {
    const calendar = createCalendar({ db, clock, log: silentLogger });
    await calendar.load();
    const life = new AbortController();
    const running = calendar.run(life.signal);
    // The disk is asked first, which takes as long as it takes.
    while ((await kept()) !== clock.now().toISOString()) await new Promise((resolve) => setTimeout(resolve, 5));
    const end = async () => {
      life.abort();
      await running;
    };
    return { calendar, end };
  };

  const first = await begin();
  assert.equal(first.calendar.leap(), null);
  for (let hour = 0; hour < 48; hour += 1) await clock.advance(HOUR_MS);
  clock.jumpWall(HOUR_MS);
  assert.equal(first.calendar.leap(), null, 'an hour is no leap');
  clock.jumpWall(YEAR_MS);
  assert.equal(first.calendar.leap()?.byMs, YEAR_MS, 'seen at once, not only at the next look');
  await clock.advance(23 * HOUR_MS);
  assert.notEqual(first.calendar.leap(), null);
  await clock.advance(HOUR_MS);
  assert.equal(first.calendar.leap(), null);
  await first.end();

  clock.jumpWall(-YEAR_MS);
  const second = await begin();
  assert.ok((second.calendar.leap()?.byMs ?? 0) < 0);
  await second.end();
  const third = await begin();
  assert.ok((third.calendar.leap()?.byMs ?? 0) < 0, 'a restart does not end the doubt');
  for (let hour = 0; hour < 25; hour += 1) await clock.advance(HOUR_MS);
  assert.equal(third.calendar.leap(), null);
  await third.end();
});
