import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCron } from '#contract/cron.ts';
import { cronOf, timesOf, type WindowPlan } from './silence-times.ts';

const NOW = Date.parse('2026-03-01T10:00:00Z');
const plan: WindowPlan = { days: [6, 0], time: '03:30', minutes: '90', lastDay: '' };

test('lengths begin now; a time from – to must end after its beginning and after now', () => {
  assert.deepEqual(timesOf('4h', '', '', plan, NOW), { from: null, to: '2026-03-01T14:00:00.000Z' });
  const later = [new Date(NOW + 3_600_000), new Date(NOW + 7_200_000)].map((date) => date.toISOString());
  assert.deepEqual(timesOf('other', later[0] ?? '', later[1] ?? '', plan, NOW), { from: later[0], to: later[1] });
  assert.equal(timesOf('other', later[1] ?? '', later[0] ?? '', plan, NOW), null);
  assert.equal(timesOf('other', '', '', plan, NOW), null);
});

test('a recurring window is cron on the days that were chosen', () => {
  assert.equal(cronOf(plan), '30 3 * * 0,6');
  assert.equal(cronOf({ ...plan, days: [] }), '30 3 * * *');
  assert.ok(parseCron(cronOf(plan)));
  assert.equal(timesOf('window', '', '', plan, NOW)?.to, '2027-03-01T10:00:00.000Z');
  for (const minutes of ['0', '1441', '1.5', 'x', ''])
    assert.equal(timesOf('window', '', '', { ...plan, minutes }, NOW), null);
});
