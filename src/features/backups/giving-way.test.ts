import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createGivingWay, MOST_AT_ONCE } from './giving-way.ts';

/** Looks after each of which the guest did ten more requests, each taking so long. */
function afterLooks(slowMs: number | null, eachMs: readonly number[]) {
  const way = createGivingWay(slowMs);
  let [count, totalMs] = [1000, 5000];
  way.look({ count, totalMs });
  return eachMs.map((ms) => {
    count += 10;
    totalMs += 10 * ms;
    way.look({ count, totalMs });
    return way.breadth;
  });
}

test('the longer a guest waits for its disks, the less is read at once, and never nothing', () => {
  const breadths = afterLooks(
    50,
    Array.from({ length: 12 }, () => 80),
  );
  assert.deepEqual(
    breadths.map(({ atOnce, pauseMs }) => [atOnce, pauseMs]),
    [[3, 0], [1, 0], [1, 50], [1, 100], ...Array.from({ length: 8 }, () => [1, 200])],
  );
});

test('once the guest is served again the backup comes back step by step', () => {
  const breadths = afterLooks(50, [80, 80, 80, 80, ...Array.from({ length: 8 }, () => 10)]).slice(4);
  assert.deepEqual(
    breadths.map(({ atOnce, pauseMs }) => [atOnce, pauseMs]),
    [
      [1, 50],
      [1, 0],
      [2, 0],
      [3, 0],
      [4, 0],
      [5, 0],
      [6, 0],
      [MOST_AT_ONCE, 0],
    ],
  );
});

test('what is not known, a guest that asks for nothing and one that was started anew change nothing for the worse', () => {
  const way = createGivingWay(50);
  way.look(null);
  way.look({ count: 100, totalMs: 100_000 });
  way.look({ count: 100, totalMs: 100_000 });
  way.look({ count: 3, totalMs: 1 });
  assert.deepEqual(way.breadth, { atOnce: MOST_AT_ONCE, pauseMs: 0 });
});

test('without a limit it never gives way', () => {
  assert.deepEqual(afterLooks(null, [5000, 5000]).at(-1), { atOnce: MOST_AT_ONCE, pauseMs: 0 });
});
