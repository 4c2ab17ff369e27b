import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CandidatePoint, decideRetention, type RetentionPolicy } from './retention.ts';
import { isoWeekOf, zonedTime } from './zoned-time.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const NONE: RetentionPolicy = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
const NOW = Date.parse('2026-06-15T12:00:00Z');
const UTC = { timeZone: 'UTC', nowMs: NOW };

const point = (id: string, at: string | number, parts: Partial<CandidatePoint> = {}): CandidatePoint => ({
  id,
  // As with a clock that is right.
  seq: typeof at === 'number' ? at : Date.parse(at),
  atMs: typeof at === 'number' ? at : Date.parse(at),
  isGood: true,
  hasPassed: false,
  isProtected: false,
  isInUse: false,
  isCopyMissing: false,
  ...parts,
});

const kept = (...[points, policy, options]: Parameters<typeof decideRetention>) =>
  decideRetention(points, policy, options)
    .filter(({ reasons }) => reasons.length > 0)
    .map(({ id }) => id);

test('each period keeps the newest of its newest days, weeks, months and years that have one', () => {
  const nightly = Array.from({ length: 800 }, (_, n) => point(`n${n}`, NOW - n * DAY_MS - 10 * HOUR_MS));
  const policy = { ...NONE, daily: 3, weekly: 2, monthly: 2, yearly: 2 };
  // 2026-06-15 is a Monday; the points are of 02:00.
  assert.deepEqual(kept(nightly, policy, UTC), ['n0', 'n1', 'n2', 'n15', 'n166']);
  assert.deepEqual(decideRetention(nightly, policy, UTC)[1]?.reasons, ['daily', 'weekly']);
});

test('days without a point do not count, so a machine that was off keeps as many', () => {
  const points = [point('a', NOW), point('b', NOW - 40 * DAY_MS), point('c', NOW - 90 * DAY_MS)];
  assert.deepEqual(kept(points, { ...NONE, daily: 2 }, UTC), ['a', 'b']);
});

test('no numbers at all keep everything', () => {
  assert.deepEqual(kept([point('a', NOW), point('b', NOW - 400 * DAY_MS)], NONE, UTC), ['a', 'b']);
});

test('a point that is dated ahead, made while the clock was wrong, pushes out none that was made after it', () => {
  const points = [
    point('ahead', NOW + 4 * 365 * DAY_MS, { seq: 1 }),
    point('before', NOW - 2 * DAY_MS, { seq: 2 }),
    point('newest', NOW - DAY_MS, { seq: 3 }),
  ];
  assert.deepEqual(kept(points, { ...NONE, last: 1 }, UTC), ['newest']);
  assert.deepEqual(kept(points, { ...NONE, daily: 2 }, UTC), ['newest', 'before']);
});

test('damaged points take no place, and go unless somebody holds them', () => {
  const points = [
    point('bad', NOW, { isGood: false }),
    point('held', NOW - 1, { isGood: false, isProtected: true }),
    point('good', NOW - 2),
    point('old', NOW - 3),
  ];
  assert.deepEqual(kept(points, { ...NONE, last: 1 }, UTC), ['held', 'good']);
});

test('the newest good point and the newest that booted stay whatever the policy says', () => {
  const points = [
    point('bad', NOW, { isGood: false }),
    point('newest', NOW - HOUR_MS),
    point('middle', NOW - DAY_MS),
    point('booted', NOW - 30 * DAY_MS, { hasPassed: true }),
    point('booted before', NOW - 31 * DAY_MS, { hasPassed: true }),
  ];
  assert.deepEqual(kept(points, { ...NONE, yearly: 1 }, UTC), ['newest', 'booted']);
});

test('a point waits for its second copy, but not for ever', () => {
  const points = [0, 13, 15].map((days) => point(`d${days}`, NOW - days * DAY_MS, { isCopyMissing: true }));
  assert.deepEqual(kept(points, { ...NONE, last: 1 }, UTC), ['d0', 'd13']);
});

test('days begin where the owner lives, and the hour that comes twice is two', () => {
  const berlin = { timeZone: 'Europe/Berlin', nowMs: NOW };
  const midnight = [point('before', '2026-06-14T21:59:00Z'), point('after', '2026-06-14T22:01:00Z')];
  assert.deepEqual(kept(midnight, { ...NONE, daily: 2 }, berlin), ['after', 'before']);
  assert.deepEqual(kept(midnight, { ...NONE, daily: 2 }, UTC), ['after']);
  const twice = [point('summer', '2026-10-25T00:30:00Z'), point('winter', '2026-10-25T01:30:00Z')];
  assert.deepEqual(kept(twice, { ...NONE, hourly: 2 }, berlin), ['winter', 'summer']);
  assert.throws(() => kept(midnight, { ...NONE, daily: 1 }, { timeZone: 'Mars/Base', nowMs: NOW }), RangeError);
});

test('weeks are those of ISO 8601', () => {
  for (const [date, week] of [
    ['2026-01-01', '2026-W01'],
    ['2027-01-01', '2026-W53'],
    ['2024-12-30', '2025-W01'],
    ['2021-01-03', '2020-W53'],
  ] as const)
    assert.equal(isoWeekOf(zonedTime(Date.parse(date), 'UTC')), week);
});

const anyPoints = fc.uniqueArray(fc.integer({ min: 0, max: 3 * 365 * 24 }), { maxLength: 60 }).chain((hours) =>
  fc.tuple(
    ...hours.map((hour, n) =>
      fc.record({
        id: fc.constant(`p${n}`),
        // Made by a clock that leapt now and then: which one is newer has nothing to do with the time.
        seq: fc.constant(n),
        atMs: fc.constant(NOW - hour * HOUR_MS),
        isGood: fc.boolean(),
        hasPassed: fc.boolean(),
        isProtected: fc.boolean(),
        isInUse: fc.boolean(),
        isCopyMissing: fc.boolean(),
      }),
    ),
  ),
);
const number = fc.nat({ max: 12 });
const anyPolicy = fc.record({
  last: number,
  hourly: number,
  daily: number,
  weekly: number,
  monthly: number,
  yearly: number,
});

test('laws: what is dear is never dropped, dropping twice drops nothing more, and higher numbers keep no less', () => {
  fc.assert(
    fc.property(anyPoints, anyPolicy, anyPolicy, (points, policy, more) => {
      const ids = new Set(kept(points, policy, UTC));
      const left = points.filter(({ id }) => ids.has(id));
      assert.deepEqual(new Set(kept(left, policy, UTC)), ids, 'stable');
      const newestFirst = points.toSorted((a, b) => b.seq - a.seq).filter(({ isGood }) => isGood);
      for (const dear of [newestFirst[0], newestFirst.find(({ hasPassed }) => hasPassed)])
        if (dear) assert.ok(ids.has(dear.id));
      for (const { id, isProtected, isInUse } of points) if (isProtected || isInUse) assert.ok(ids.has(id));
      const isAnything = Object.values(policy).some((count) => count > 0);
      if (!isAnything) return;
      const wider = Object.fromEntries(
        Object.entries(policy).map(([name, count]) => [name, count + more[name as keyof RetentionPolicy]]),
      );
      const wide = new Set(kept(points, { ...policy, ...wider }, UTC));
      for (const id of ids) assert.ok(wide.has(id), 'wider');
    }),
  );
});
