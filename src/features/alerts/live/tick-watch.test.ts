import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { watchTicks } from './tick-watch.ts';

async function withWatch(
  work: (parts: {
    readonly watch: ReturnType<typeof watchTicks>;
    readonly titles: readonly string[];
    readonly failing: { isFailing: boolean };
    pass(ticks: number, each?: () => void): Promise<void>;
  }) => Promise<void>,
): Promise<void> {
  const clock = new TestClock();
  const dir = await mkdtemp(join(tmpdir(), 'hv-tick-watch-'));
  const db = openDatabase(join(dir, 'state.db'));
  const titles: string[] = [];
  const failing = { isFailing: false };
  const watch = watchTicks({
    db,
    clock,
    log: silentLogger,
    announcer: {
      async announceEvent(_tx, { title }) {
        if (failing.isFailing) throw new Error('no room');
        titles.push(title);
      },
    },
  });
  const stop = new AbortController();
  const running = watch.run(stop.signal);
  try {
    await work({
      watch,
      titles,
      failing,
      async pass(ticks, each) {
        for (let n = 0; n < ticks; n += 1) {
          each?.();
          await clock.advance(10_000);
          // What is told goes through the database; transactions come one after the other.
          await db.transaction(async () => undefined);
          await new Promise((resolve) => setImmediate(resolve));
        }
      },
    });
  } finally {
    stop.abort();
    await running;
    await db.close();
    await rm(dir, { recursive: true });
  }
}

test('that nothing is measured is told though it never worked, once', () =>
  withWatch(async ({ watch, titles, pass }) => {
    await pass(5);
    assert.deepEqual(titles, []);
    assert.equal(watch.isMeasuring(), true);
    await pass(10);
    assert.deepEqual(titles, ['Nothing is measured']);
    assert.equal(watch.isMeasuring(), false);
    assert.equal(watch.isEvaluating(), false);
  }));

test('figures that come while no rule is evaluated are no health', () =>
  withWatch(async ({ watch, titles, pass }) => {
    await pass(10, watch.measured);
    assert.deepEqual(titles, ['Alert rules are not evaluated']);
    assert.equal(watch.isMeasuring(), true);
    assert.equal(watch.isEvaluating(), false);
    await pass(2, () => {
      watch.measured();
      watch.evaluated();
    });
    assert.equal(watch.isEvaluating(), true);
    await pass(10);
    assert.equal(titles.length, 2);
  }));

test('what could not be told is told as soon as it can be', () =>
  withWatch(async ({ titles, failing, pass }) => {
    failing.isFailing = true;
    await pass(10);
    assert.deepEqual(titles, []);
    failing.isFailing = false;
    await pass(1);
    assert.equal(titles.length, 1);
  }));
