import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPeriods } from './periods.ts';

const CPU = { id: 1, metric: 'cpu_usage' } as const;
const HOUR_MS = 3_600_000;

test('a series is measured as often as the catalogue says, until its collector tells otherwise', () => {
  const periods = createPeriods();
  assert.equal(periods.of(CPU, 0), 10_000);
  periods.note(CPU, 5_000, 0);
  assert.equal(periods.of(CPU, 0), 10_000);
  periods.note(CPU, 60_000, 0);
  assert.equal(periods.of(CPU, 0), 60_000);
  assert.equal(periods.of({ ...CPU, id: 2 }, 0), 10_000);
});

test('a longer period holds as long as windows may hold samples of then', () => {
  const periods = createPeriods();
  periods.note(CPU, 60_000, 0);
  periods.note(CPU, 20_000, 60_000);
  assert.equal(periods.of(CPU, HOUR_MS), 60_000);
  assert.equal(periods.of(CPU, HOUR_MS + 1), 10_000);
  periods.note(CPU, 20_000, HOUR_MS + 1);
  assert.equal(periods.of(CPU, HOUR_MS + 1), 20_000);
  periods.note(CPU, HOUR_MS, 2 * HOUR_MS);
  assert.equal(periods.of(CPU, 5 * HOUR_MS), HOUR_MS);
});
