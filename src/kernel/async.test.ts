import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atOnce, createBreather, createWaker, type Steps, withBreaths } from './async.ts';
import { TestClock } from './clock.ts';

test('a loop sleeps until its time, until it is woken, also before it slept, or until the end', async () => {
  const clock = new TestClock();
  const { wake, wait } = createWaker(clock);
  const life = new AbortController();
  const log: string[] = [];
  const sleep = (name: string) => wait(1000, life.signal).then(() => void log.push(name));
  const first = sleep('time');
  await clock.advance(999);
  assert.deepEqual(log, []);
  await clock.advance(1);
  await first;
  const second = sleep('woken');
  wake();
  await second;
  wake();
  wake();
  await sleep('woken before');
  const last = sleep('end');
  await clock.advance(999);
  assert.deepEqual(log, ['time', 'woken', 'woken before'], 'being woken twice is one waking');
  life.abort();
  await last;
});

test('steps come to the same at once and with breaths, and a breath lets others have their turn', async () => {
  function* sum(): Steps<number> {
    let total = 0;
    for (let n = 1; n <= 10; n += 1) {
      total += n;
      yield;
    }
    return total;
  }
  let turns = 0;
  const count = () => {
    turns += 1;
    if (turns < 100) setImmediate(count);
  };
  setImmediate(count);
  assert.equal(atOnce(sum()), 55);
  assert.equal(turns, 0);
  assert.equal(await withBreaths(sum(), createBreather(0)), 55);
  assert.ok(turns >= 9, `${turns} turns`);
  const gone = new AbortController();
  gone.abort(new Error('went away'));
  await assert.rejects(withBreaths(sum(), createBreather(0, gone.signal)), /went away/);
});
