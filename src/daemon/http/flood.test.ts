import assert from 'node:assert/strict';
import { test } from 'node:test';
import { allRoutes } from '#contract/api.ts';
import { TestClock } from '#kernel/clock.ts';
import { createAllowance } from './flood.ts';

test('an address has its allowance again after the window, and others are not touched', async () => {
  const clock = new TestClock();
  const allowance = createAllowance(clock, 3, 60_000);
  assert.deepEqual(
    [1, 2, 3, 4, 5].map(() => allowance.take('a')),
    [true, true, true, false, false],
  );
  assert.equal(allowance.take('b'), true);
  assert.equal(allowance.refused, 2);
  await clock.advance(60_001);
  assert.equal(allowance.take('a'), true);
});

test('all addresses that one is given are one source, and a flood from many others gives nobody his allowance back', () => {
  const allowance = createAllowance(new TestClock(), 1, 60_000);
  assert.equal(allowance.take('2001:db8::1'), true);
  assert.equal(allowance.take('2001:db8::2'), false);
  assert.equal(allowance.take('2001:db8:0:1::1'), true);
  for (let n = 0; n < 9000; n += 1) allowance.take(`10.0.${n >> 8}.${n & 255}`);
  assert.equal(allowance.take('2001:db8::3'), false);
});

test('asking for a challenge uses up no sign-in', () => {
  const challenges = allRoutes().filter(([key]) => key.endsWith('/challenge'));
  assert.ok(challenges.length >= 5);
  for (const [key, { changesNothing }] of challenges) assert.equal(changesNothing, true, key);
});
