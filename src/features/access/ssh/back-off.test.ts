import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { createBackOff } from './back-off.ts';

test('delays double up to a bound, and a success or a quiet quarter of an hour ends them', async () => {
  const clock = new TestClock();
  const backOff = createBackOff(clock, { free: 2, firstMs: 1000, maxMs: 5000 });
  const waits: number[] = [];
  for (let count = 0; count < 6; count += 1) {
    backOff.failed('a');
    waits.push(backOff.waitMs('a'));
  }
  assert.deepEqual(waits, [0, 0, 1000, 2000, 4000, 5000]);
  assert.equal(backOff.waitMs('b'), 0);
  await clock.advance(4999);
  assert.equal(backOff.waitMs('a'), 1);
  await clock.advance(1);
  assert.equal(backOff.waitMs('a'), 0);
  backOff.succeeded('a');
  backOff.failed('a');
  assert.equal(backOff.waitMs('a'), 0);
  for (let count = 0; count < 40; count += 1) backOff.failed('a');
  assert.equal(backOff.waitMs('a'), 5000);
  await clock.advance(15 * 60_000);
  backOff.failed('a');
  assert.equal(backOff.waitMs('a'), 0);
});

test('the table has a bound', () => {
  const backOff = createBackOff(new TestClock(), { free: 0, firstMs: 1000, maxMs: 5000 });
  backOff.failed('first');
  for (let count = 0; count < 10_000; count += 1) backOff.failed(`x${count}`);
  assert.equal(backOff.waitMs('first'), 0);
  assert.equal(backOff.waitMs('x9999'), 1000);
});
