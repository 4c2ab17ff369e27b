import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from './units.ts';

test('durations are read with their units, one or several', () => {
  assert.equal(parseDuration('500ms'), 500);
  assert.equal(parseDuration('90s'), 90_000);
  assert.equal(parseDuration('30m'), 1_800_000);
  assert.equal(parseDuration('30 min'), 1_800_000);
  assert.equal(parseDuration('1h30m'), 5_400_000);
  assert.equal(parseDuration('2d'), 172_800_000);
  assert.equal(parseDuration('1w'), 604_800_000);
});

test('what is no duration is none', () => {
  for (const text of ['', '5', 'm', '5y', '-5m', '5m ', '1e3s', '1.5h', '5m5', '1234567s'])
    assert.equal(parseDuration(text), null, text);
});
