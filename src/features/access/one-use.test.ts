import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { createOneUse } from './one-use.ts';

test('a value is taken out once, within its time, by the very key', async () => {
  const clock = new TestClock();
  const waiting = createOneUse<string>(clock, 60_000);
  const key = waiting.put('a', 'me');
  assert.equal(waiting.take(`${key}x`), null);
  assert.equal(waiting.take(key), 'a');
  assert.equal(waiting.take(key), null);
  const late = waiting.put('b', 'me');
  await clock.advance(60_000);
  assert.equal(waiting.take(late), null);
});

test('one who asks for too many pushes out his own, not those of others', () => {
  const waiting = createOneUse<number>(new TestClock(), 60_000);
  const theirs = waiting.put(-1, 'them');
  const mine = Array.from({ length: 200 }, (_, index) => waiting.put(index, 'me'));
  assert.equal(waiting.take(theirs), -1);
  assert.equal(mine.filter((key) => waiting.take(key) !== null).length, 64);
});

test('the whole is bounded, and the newest stay', () => {
  const waiting = createOneUse<number>(new TestClock(), 60_000);
  const keys = Array.from({ length: 10_050 }, (_, index) => waiting.put(index, `address ${index}`));
  assert.equal(keys.filter((key) => waiting.take(key) !== null).length, 10_000);
});
