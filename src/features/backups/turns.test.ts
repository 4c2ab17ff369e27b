import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { createPace } from './pace.ts';
import { createTurns } from './turns.ts';

const never = new AbortController().signal;
/** Lets everything that is ready happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

test('so many hold a turn at once, and the others follow in the order in which they came', async () => {
  const turns = createTurns(2);
  const begun: string[] = [];
  for (const name of ['a', 'b', 'c', 'd']) void turns.take(name, never).then(() => begun.push(name));
  await settle();
  assert.deepEqual(begun, ['a', 'b']);
  turns.release('b');
  await settle();
  assert.deepEqual(begun, ['a', 'b', 'c']);
  turns.release('nobody');
  turns.release('a');
  await settle();
  assert.deepEqual(begun, ['a', 'b', 'c', 'd']);
});

test('who gives up waiting takes no turn', async () => {
  const turns = createTurns(1);
  await turns.take('a', never);
  const given = new AbortController();
  const waiting = turns.take('b', given.signal);
  given.abort(new Error('cancelled'));
  await assert.rejects(waiting, /cancelled/);
  turns.release('a');
  await turns.take('c', never);
});

test('who goes on after a restart holds a turn at once, and a second time it is the same one', async () => {
  const turns = createTurns(1);
  turns.hold('a');
  turns.hold('b');
  await turns.take('a', never);
  let isBegun = false;
  void turns.take('c', never).then(() => {
    isBegun = true;
  });
  turns.release('a');
  await settle();
  assert.equal(isBegun, false, 'two hold one');
  turns.release('b');
  await settle();
  assert.equal(isBegun, true);
});

test('reading keeps below its rate over time, and without one it never waits', async () => {
  const clock = new TestClock();
  const pace = createPace(1000, clock);
  const startMs = clock.monotonicMs();
  await pace.take(500, never);
  let isThrough = false;
  const second = pace.take(500, never).then(() => {
    isThrough = true;
  });
  await settle();
  assert.equal(isThrough, false);
  await clock.advance(500);
  await second;
  assert.ok(clock.monotonicMs() - startMs >= 500);
  const free = createPace(null, clock);
  for (let n = 0; n < 100; n += 1) await free.take(2 ** 30, never);
});
