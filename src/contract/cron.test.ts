import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCron } from './cron.ts';

const matches = (text: string, at: string) => parseCron(text)?.matches(new Date(at));

test('a schedule begins in the minutes that its five fields say', () => {
  assert.equal(matches('0 3 * * sun', '2026-11-29T03:00'), true);
  assert.equal(matches('0 3 * * 7', '2026-11-29T03:00'), true);
  assert.equal(matches('0 3 * * sun', '2026-11-28T03:00'), false);
  assert.equal(matches('*/15 8-17 * * mon-fri', '2026-11-26T09:45'), true);
  assert.equal(matches('*/15 8-17 * * mon-fri', '2026-11-26T09:46'), false);
  assert.equal(matches('0 0 1,15 jan *', '2026-01-15T00:00'), true);
});

test('when both days are restricted either is enough, as in cron', () => {
  assert.equal(matches('0 0 13 * fri', '2026-11-13T00:00'), true);
  assert.equal(matches('0 0 13 * fri', '2026-11-20T00:00'), true);
  assert.equal(matches('0 0 13 * fri', '2026-11-19T00:00'), false);
});

test('what is no schedule, or never comes, is none', () => {
  for (const text of [
    '',
    '* * * *',
    '* * * * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    '*/0 * * * *',
    'a * * * *',
    '1-2-3 * * * *',
    '0 0 30 2 *',
    '*/1/2 * * * *',
  ])
    assert.equal(parseCron(text), null, text);
});

test('no text makes it throw', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      parseCron(text);
    }),
  );
});
