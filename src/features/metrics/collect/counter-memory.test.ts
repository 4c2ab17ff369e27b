import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCounterMemory } from './counter-memory.ts';

const PERIOD_MS = 10_000;

test('a rate covers the true time between two looks', () => {
  const own = createCounterMemory().of('vm');
  assert.equal(own.rate('x', 100, 0, PERIOD_MS), null);
  assert.equal(own.rate('x', 400, 15_000, PERIOD_MS), 20);
  assert.equal(own.rate('x', 400, 25_000, PERIOD_MS), 0);
});

test('a counter that went back makes no rate, and the next look counts from there', () => {
  const own = createCounterMemory().of('vm');
  own.rate('x', 1_000, 0, PERIOD_MS);
  assert.equal(own.rate('x', 10, 10_000, PERIOD_MS), null);
  assert.equal(own.rate('x', 30, 20_000, PERIOD_MS), 2);
});

test('after a gap of more than three periods there is no rate', () => {
  const own = createCounterMemory().of('vm');
  own.rate('x', 0, 0, PERIOD_MS);
  assert.equal(own.rate('x', 300, 30_000, PERIOD_MS), 10);
  assert.equal(own.rate('x', 900, 60_001, PERIOD_MS), null);
});

test('another run of the owner begins anew, even when its counters are higher', () => {
  const memory = createCounterMemory();
  memory.of('vm', 1).rate('x', 5, 0, PERIOD_MS);
  assert.equal(memory.of('vm', 2).rate('x', 500, 10_000, PERIOD_MS), null);
  assert.equal(memory.of('vm', 2).rate('x', 510, 20_000, PERIOD_MS), 1);
});

test('what is missing, or too large to be exact, is no look at all', () => {
  const own = createCounterMemory().of('vm');
  own.rate('x', 0, 0, PERIOD_MS);
  assert.equal(own.rate('x', null, 10_000, PERIOD_MS), null);
  assert.equal(own.rate('x', 2 ** 53, 10_000, PERIOD_MS), null);
  assert.equal(own.rate('x', 20, 20_000, PERIOD_MS), 1);
  assert.equal(own.rate('x', 40, 20_000, PERIOD_MS), null);
});

test('owners that are gone are forgotten', () => {
  const memory = createCounterMemory();
  memory.of('a').rate('x', 0, 0, PERIOD_MS);
  memory.of('b').rate('x', 0, 0, PERIOD_MS);
  memory.keep(new Set(['b']));
  assert.equal(memory.of('a').rate('x', 10, 10_000, PERIOD_MS), null);
  assert.equal(memory.of('b').rate('x', 10, 10_000, PERIOD_MS), 1);
});
