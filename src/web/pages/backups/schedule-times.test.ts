import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { calendarSchema } from '#contract/protection.ts';
import { cronOf, PACES, timesOf, timesText } from './schedule-times.ts';

test('what people choose becomes five fields and is read back as the same choice', () => {
  const time = fc
    .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 }))
    .map(([hour, minute]) => `${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}`);
  fc.assert(
    fc.property(
      fc.constantFrom(...PACES.filter((pace) => pace !== 'other')),
      time,
      fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 31 }),
      (pace, at, days, dayOfMonth) => {
        const cron = cronOf({ pace, time: at, days, dayOfMonth: String(dayOfMonth), cron: '' });
        assert.ok(cron !== null && calendarSchema.safeParse(cron).success, String(cron));
        const read = timesOf(cron);
        assert.equal(read.pace, pace);
        assert.equal(cronOf(read), cron);
      },
    ),
  );
});

test('a text that the choices cannot say stays as it is', () => {
  for (const cron of ['*/15 8-17 * * mon-fri', '0 2 1,15 * *', '0 2 * jan *', '0 2,14 * * *', '0 0 13 * fri']) {
    assert.equal(timesOf(cron).pace, 'other', cron);
    assert.equal(cronOf(timesOf(cron)), cron);
    assert.equal(timesText(cron), cron);
  }
});

test('names and spans of days are read as the days that they mean', () => {
  assert.deepEqual(timesOf('30 1 * * mon-fri').days, [1, 2, 3, 4, 5]);
  assert.deepEqual(timesOf('30 1 * * 5-7').days, [0, 5, 6]);
  assert.equal(timesText('30 1 * * sun'), 'Sun at 01:30');
  assert.equal(timesText('5 * * * *'), 'hourly at :05');
});

test('what is missing gives no text', () => {
  const base = { time: '02:00', days: [], dayOfMonth: '1', cron: '' };
  assert.equal(cronOf({ ...base, pace: 'weekly' }), null);
  assert.equal(cronOf({ ...base, pace: 'monthly', dayOfMonth: '32' }), null);
  assert.equal(cronOf({ ...base, pace: 'daily', time: '' }), null);
  assert.equal(cronOf({ ...base, pace: 'other' }), null);
});
