import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCron } from '#contract/cron.ts';
import { calendarSchema } from '#contract/protection.ts';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { runCalendar } from '../run-calendar.ts';
import { jitterOf } from './due.ts';
import type { Schedule } from './schedule-store.ts';
import { createScheduler } from './scheduler.ts';

// `parseCron` reads the fields of the local clock.
process.env['TZ'] = 'UTC';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const LOOK_MS = 5 * MINUTE_MS;

interface Began {
  readonly due: string;
  readonly atMs: number;
}

/** A scheduler of one schedule whose calendar is the given one, looked at every five minutes. */
function world(parts: Partial<Schedule> & { readonly calendar: string }, start: string) {
  const clock = new TestClock(new Date(start));
  const timeZone = parts.timeZone ?? 'UTC';
  const runs = runCalendar(parts.calendar, timeZone);
  let schedule: Schedule = {
    id: 'sched-1',
    name: 'nightly',
    isEnabled: true,
    timeZone,
    targets: { kind: 'all', except: [] },
    repository: null,
    retention: { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
    proof: 'never',
    priority: 5,
    jitterMinutes: 0,
    scrubDays: null,
    catchUp: true,
    windowHours: null,
    nextMs: runs.next(clock.now().getTime()),
    createdAt: start,
    runs,
    ...parts,
  };
  const began: Began[] = [];
  const skipped: string[] = [];
  let failure: AppError | null = null;
  const scheduler = createScheduler({
    store: {
      all: () => [schedule],
      async setNext(_id, nextMs) {
        schedule = { ...schedule, nextMs };
      },
    },
    clock,
    log: silentLogger,
    async begin(_schedule, dueMs) {
      if (failure) throw failure;
      began.push({ due: new Date(dueMs).toISOString(), atMs: clock.monotonicMs() });
    },
    async skip(_schedule, dueMs) {
      skipped.push(new Date(dueMs).toISOString());
    },
  });
  return {
    clock,
    began,
    skipped,
    dues: () => began.map(({ due }) => due.slice(0, 16)),
    failWith(error: AppError | null) {
      failure = error;
    },
    async live(ms: number) {
      const untilMs = clock.monotonicMs() + ms;
      while (clock.monotonicMs() < untilMs) {
        await scheduler.look();
        await clock.advance(LOOK_MS);
      }
      await scheduler.look();
    },
    /** Time goes on and nobody looks. */
    off: (ms: number) => clock.advance(ms),
  };
}

test('a quarter of nights is one run each, and of Sundays one each', async () => {
  const nightly = world({ calendar: '0 2 * * *' }, '2026-01-01T00:00:00Z');
  const weekly = world({ calendar: '30 1 * * sun' }, '2026-01-01T00:00:00Z');
  await nightly.live(90 * DAY_MS);
  await weekly.live(90 * DAY_MS);
  assert.equal(nightly.began.length, 90);
  assert.equal(new Set(nightly.dues()).size, 90);
  assert.deepEqual(weekly.dues().slice(0, 2), ['2026-01-04T01:30', '2026-01-11T01:30']);
  assert.equal(weekly.began.length, 13);
});

test('nights when the clocks change are one run each, and every hour stays an hour', async () => {
  const berlin = { timeZone: 'Europe/Berlin' };
  const spring = world({ calendar: '30 2 * * *', ...berlin }, '2026-03-27T12:00:00Z');
  await spring.live(4 * DAY_MS);
  assert.deepEqual(spring.dues(), ['2026-03-28T01:30', '2026-03-29T01:00', '2026-03-30T00:30', '2026-03-31T00:30']);
  const autumn = world({ calendar: '30 2 * * *', ...berlin }, '2026-10-23T12:00:00Z');
  await autumn.live(4 * DAY_MS);
  assert.deepEqual(autumn.dues(), ['2026-10-24T00:30', '2026-10-25T00:30', '2026-10-26T01:30', '2026-10-27T01:30']);
  for (const start of ['2026-03-28T12:00:00Z', '2026-10-24T12:00:00Z']) {
    const hourly = world({ calendar: '0 * * * *', ...berlin }, start);
    await hourly.live(DAY_MS);
    assert.equal(hourly.began.length, 24, start);
  }
});

test('however many nights it was off, it runs once at its start', async () => {
  const it = world({ calendar: '0 2 * * *' }, '2026-01-01T00:00:00Z');
  await it.live(DAY_MS);
  await it.off(10 * DAY_MS);
  await it.live(DAY_MS);
  assert.deepEqual(it.dues(), ['2026-01-01T02:00', '2026-01-02T02:00', '2026-01-12T02:00']);
});

test('a schedule that makes up for nothing waits for its next moment, but bears a restart', async () => {
  const it = world({ calendar: '0 2 * * *', catchUp: false }, '2026-01-01T00:00:00Z');
  await it.live(DAY_MS);
  await it.off(10 * DAY_MS);
  await it.live(HOUR_MS);
  assert.deepEqual(it.dues(), ['2026-01-01T02:00']);
  const restarted = world({ calendar: '0 * * * *', catchUp: false }, '2026-01-01T00:30:00Z');
  await restarted.off(HOUR_MS + 35 * MINUTE_MS);
  await restarted.live(0);
  assert.deepEqual(restarted.dues(), ['2026-01-01T02:00'], 'five minutes late, and the one before was missed');
});

test('a clock that is set back an hour runs no night twice and misses none', async () => {
  for (const at of [90, 125, 150]) {
    const it = world({ calendar: '0 2 * * *' }, '2026-01-01T00:00:00Z');
    await it.live(at * MINUTE_MS);
    it.clock.jumpWall(-HOUR_MS);
    await it.live(5 * DAY_MS);
    assert.equal(new Set(it.dues()).size, it.began.length, `set back after ${at} min`);
    assert.ok(it.began.length === 5 || it.began.length === 6, `${it.began.length} runs`);
    const gaps = it.began.slice(1).map(({ atMs }, n) => atMs - (it.began[n]?.atMs ?? 0));
    assert.ok(Math.max(...gaps) <= 25 * HOUR_MS, `a gap of ${Math.max(...gaps) / HOUR_MS} h`);
  }
});

test('a leap of a year ahead is one run; back again it goes on at the next night', async () => {
  const it = world({ calendar: '0 2 * * *' }, '2026-01-01T00:00:00Z');
  await it.live(3 * DAY_MS);
  assert.equal(it.began.length, 3);
  it.clock.jumpWall(365 * DAY_MS);
  await it.live(HOUR_MS);
  assert.equal(it.began.length, 4, 'one for all the nights that never were');
  it.clock.jumpWall(-365 * DAY_MS);
  await it.live(3 * DAY_MS);
  assert.equal(it.began.length, 7, 'and none is waited for a year for');
});

test('whatever the clock does, two runs are never nearer than half a moment, and never none for two', () => {
  const leap = fc.record({
    afterHours: fc.integer({ min: 1, max: 72 }),
    byMs: fc.constantFrom(
      -HOUR_MS,
      HOUR_MS,
      -DAY_MS,
      DAY_MS,
      365 * DAY_MS,
      -365 * DAY_MS,
      -30 * MINUTE_MS,
      40 * DAY_MS,
    ),
  });
  return fc.assert(
    fc.asyncProperty(
      fc.array(leap, { maxLength: 4 }),
      fc.constantFrom('0 2 * * *', '0 */6 * * *'),
      async (leaps, calendar) => {
        const it = world({ calendar }, '2026-01-01T00:00:00Z');
        for (const { afterHours, byMs } of leaps) {
          await it.live(afterHours * HOUR_MS);
          it.clock.jumpWall(byMs);
        }
        // Counted and not told by its time: the last leap may come in the very moment of a run.
        const before = it.began.length;
        await it.live(4 * DAY_MS);
        const gapMs = calendar === '0 2 * * *' ? DAY_MS : 6 * HOUR_MS;
        const after = it.began.length - before;
        const expected = (4 * DAY_MS) / gapMs;
        // One more for what was missed, one or two fewer while moments that already ran come again.
        assert.ok(after >= expected - 2 && after <= expected + 1, `${after} runs in four days, not about ${expected}`);
        assert.ok(
          it.began.length <= leaps.length + Math.ceil(it.clock.monotonicMs() / gapMs) + 1,
          'none is run for each that was missed',
        );
      },
    ),
    { numRuns: 25 },
  );
});

test('a run is delayed by its own share of the jitter, the same after a restart, and never past half the gap', async () => {
  const it = world({ calendar: '0 2 * * *', jitterMinutes: 60 }, '2026-01-01T00:00:00Z');
  await it.live(20 * DAY_MS);
  assert.equal(it.began.length, 20);
  const delays = it.began.map(({ due, atMs }) => Date.parse('2026-01-01T00:00:00Z') + atMs - Date.parse(due));
  assert.ok(delays.every((ms) => ms >= 0 && ms <= HOUR_MS + LOOK_MS));
  assert.ok(new Set(delays).size > 3, 'not all alike');
  assert.equal(jitterOf('a', 1, HOUR_MS), jitterOf('a', 1, HOUR_MS));
  const often = world({ calendar: '*/10 * * * *', jitterMinutes: 240 }, '2026-01-01T00:00:00Z');
  await often.live(HOUR_MS);
  assert.ok(often.began.length >= 5, `${often.began.length} runs`);
});

test('a run that is still under way leaves the next one out and says so; any other failure is tried again', async () => {
  const it = world({ calendar: '0 2 * * *' }, '2026-01-01T00:00:00Z');
  it.failWith(new AppError('busy', { detail: 'the run before' }));
  await it.live(3 * HOUR_MS);
  assert.deepEqual(it.skipped, ['2026-01-01T02:00:00.000Z']);
  it.failWith(new AppError('unavailable'));
  await it.live(DAY_MS);
  assert.deepEqual(it.dues(), []);
  it.failWith(null);
  await it.live(0);
  assert.deepEqual(it.dues(), ['2026-01-02T02:00']);
});

test('what the calendar is accepted for is what its runs are', () => {
  const field = (max: number, min = 0) =>
    fc.oneof(
      fc.constant('*'),
      fc.integer({ min, max }).map(String),
      fc.integer({ min: 2, max: Math.max(2, Math.floor(max / 2)) }).map((step) => `*/${step}`),
      fc
        .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
        .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      fc.uniqueArray(fc.integer({ min, max }), { minLength: 1, maxLength: 4 }).map((values) => values.join(',')),
    );
  fc.assert(
    fc.property(
      fc.tuple(field(59), field(23), field(31, 1), field(12, 1), field(6)),
      fc.integer({ min: Date.parse('2026-01-01'), max: Date.parse('2030-01-01') }),
      (fields, fromMs) => {
        const text = fields.join(' ');
        if (!calendarSchema.safeParse(text).success) return;
        const meant = parseCron(text);
        assert.ok(meant);
        const calendar = runCalendar(text, 'UTC');
        const next = calendar.next(fromMs);
        assert.ok(next !== null, text);
        assert.ok(meant.matches(new Date(next)), `${text} runs at ${new Date(next).toISOString()}`);
        const firstMinute = (Math.floor(fromMs / MINUTE_MS) + 1) * MINUTE_MS;
        for (let ms = firstMinute; ms < Math.min(next, firstMinute + 3000 * MINUTE_MS); ms += MINUTE_MS)
          assert.ok(!meant.matches(new Date(ms)), `${text} leaves out ${new Date(ms).toISOString()}`);
      },
    ),
    { numRuns: 60 },
  );
});

test('calendars that mean different things to different programs are refused', () => {
  for (const text of ['0 0 */2 * mon', '5/10 * * * *', '@daily', '0 2 L * *', '* * * * * *', '0 0 30 2 *', '0 2 ? * *'])
    assert.equal(calendarSchema.safeParse(text).success, false, text);
  for (const text of ['0 2 * * *', '30 1 * * sun', '0 */6 * * 1-5', '0 3 1 * *', '0 4 1,15 * mon'])
    assert.equal(calendarSchema.safeParse(text).success, true, text);
});
