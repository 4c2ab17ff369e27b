import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createChangeQueue } from './change-queue.ts';

test('a burst of notices about one object costs one look', async () => {
  const seen: string[] = [];
  const queue = createChangeQueue({
    maxWaiting: 10,
    parallel: 2,
    work: async (id) => void seen.push(id),
    onOverflow: () => assert.fail(),
  });
  for (let n = 0; n < 100; n += 1) queue.push('a');
  queue.push('b');
  await turn();
  await turn();
  assert.deepEqual(seen, ['a', 'b']);
});

test('a notice during a look brings a second look, not a parallel one', async () => {
  let looks = 0;
  let most = 0;
  let active = 0;
  const queue = createChangeQueue({
    maxWaiting: 10,
    parallel: 4,
    work: async () => {
      looks += 1;
      active += 1;
      most = Math.max(most, active);
      if (looks === 1) queue.push('a');
      await turn();
      await turn();
      active -= 1;
    },
    onOverflow: () => assert.fail(),
  });
  queue.push('a');
  for (let n = 0; n < 10; n += 1) await turn();
  assert.equal(looks, 2);
  assert.equal(most, 1);
});

test('an overflow drops everything and asks for a full look', async () => {
  let overflows = 0;
  const queue = createChangeQueue({
    maxWaiting: 100,
    parallel: 1,
    work: () => new Promise(() => undefined),
    onOverflow: () => {
      overflows += 1;
    },
  });
  for (let n = 0; n < 101; n += 1) queue.push(`vm-${n}`);
  assert.equal(overflows, 1);
  assert.equal(queue.size, 0);
});
