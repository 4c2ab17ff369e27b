import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { Series } from '../sample.ts';
import { createForecasts } from './forecasts.ts';

const DAY_MS = 86_400_000;
const series: Series = { id: 7, owner: { type: 'host', id: 'h' }, kind: 'fs', sub: '/', metric: 'disk_usage' };

function forecasts(days: number, options: { readonly fails?: boolean } = {}) {
  const clock = new TestClock();
  const asked: number[] = [];
  const made = createForecasts({
    series: (id) => (id === series.id ? series : null),
    latest: () => ({ value: 0.5 }),
    read: async (key, { toMs }) => {
      asked.push(toMs);
      if (options.fails) throw new Error('no disk');
      const atMs = Array.from({ length: days }, (_, day) => toMs - (days - 1 - day) * DAY_MS);
      const values = atMs.map((_, day) => 0.4 + 0.01 * day);
      return {
        stepMs: DAY_MS,
        tier: '1h',
        series: [{ key, atMs, min: values, avg: values, max: values, stateSeconds: null }],
      };
    },
    clock,
    log: silentLogger,
  });
  return { made, clock, asked };
}

test('nobody can say at first; then the trend is laid on to the newest value', async () => {
  const { made, asked } = forecasts(10);
  assert.equal(made.forecast(7, 7 * DAY_MS), null);
  await made.settled();
  assert.ok(Math.abs((made.forecast(7, 7 * DAY_MS) ?? 0) - 0.57) < 1e-9);
  assert.equal(asked.length, 1);
});

test('the trend is read anew each hour, and the one before counts meanwhile', async () => {
  const { made, clock, asked } = forecasts(10);
  made.forecast(7, DAY_MS);
  await made.settled();
  await clock.advance(3_700_000);
  assert.notEqual(made.forecast(7, DAY_MS), null);
  await made.settled();
  assert.equal(asked.length, 2);
});

test('with too few days, or a history that cannot be read, nobody can say, and it is not asked at every tick', async () => {
  for (const { made, asked } of [forecasts(5), forecasts(10, { fails: true })]) {
    for (let tick = 0; tick < 5; tick += 1) {
      assert.equal(made.forecast(7, DAY_MS), null);
      await made.settled();
    }
    assert.equal(asked.length, 1);
  }
});
