import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CapacityItem, Metric } from '#contract/metrics.ts';
import { figureText, rangeOf, sparkline } from './metric-text.ts';
import { outlookText } from './metrics.ts';

const metric = (dimension: Metric['dimension'], values: string[] | null = null): Metric => ({
  name: 'one',
  dimension,
  kinds: ['host'],
  periodSeconds: 10,
  decimals: 2,
  values,
  help: '',
});

test('figures have their unit, and a missing one is a dash, not 0', () => {
  assert.equal(figureText(metric('ratio'), 0.4215), '42 %');
  assert.equal(figureText(metric('bytes_per_second'), 1536), '1.5 KiB/s');
  assert.equal(figureText(metric('seconds'), 0.0042), '4.2 ms');
  assert.equal(figureText(metric('enum', ['running', 'shutting_down']), 1), 'shutting down');
  assert.equal(figureText(metric('ratio'), null), '–');
});

test('a small graph shows highest, lowest and gaps', () => {
  const values = [0, 0.5, null, 1];
  assert.equal(sparkline(values, ...rangeOf(metric('ratio'), values)), '▁▅ █');
  assert.equal(sparkline([3, 3], 3, 3), '▁▁');
});

test('an outlook is a span in words', () => {
  const item = (change: Partial<CapacityItem>): CapacityItem => ({
    owner: 'host',
    id: 'local',
    name: 'host1',
    project: null,
    kind: 'fs',
    sub: '/',
    sizeBytes: 100,
    usedBytes: 50,
    usedRatio: 0.5,
    days: 30,
    outlook: 'filling',
    bytesPerDay: 1,
    fullInDays: null,
    in30DaysRatio: null,
    ...change,
  });
  assert.equal(outlookText(item({ fullInDays: { soonest: 24, latest: 41 } })), 'full in 3 weeks to 6 weeks');
  assert.equal(outlookText(item({ fullInDays: { soonest: 1, latest: null } })), 'full in 1 day or later');
  assert.equal(outlookText(item({ outlook: 'too_little_data', days: 3 })), 'too little data: 3 of 7 days');
  assert.equal(outlookText(item({})), 'filling, more than 5 years left');
});
