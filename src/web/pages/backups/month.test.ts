import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dayKey, monthText, movedBy, parseMonth, weeksOf } from './month.ts';

const month = fc
  .tuple(fc.integer({ min: 2000, max: 2100 }), fc.integer({ min: 0, max: 11 }))
  .map(([year, of]) => ({ year, month: of }));

test('every day of the month stands once in the grid, in whole weeks that begin on Monday', () => {
  fc.assert(
    fc.property(month, (of) => {
      const days = weeksOf(of).flat();
      assert.equal(days.length % 7, 0);
      const inside = days.filter(({ isOfMonth }) => isOfMonth).map(({ day }) => day);
      assert.deepEqual(
        inside,
        Array.from({ length: new Date(of.year, of.month + 1, 0).getDate() }, (_, index) => index + 1),
      );
      assert.equal(new Set(days.map(({ key }) => key)).size, days.length);
      const first = days[0]?.key ?? '';
      assert.equal(new Date(`${first}T12:00:00`).getDay(), 1, first);
    }),
  );
});

test('the text of a month is read back, and going on and back ends where it began', () => {
  fc.assert(
    fc.property(month, fc.integer({ min: -30, max: 30 }), (of, by) => {
      assert.deepEqual(parseMonth(monthText(of)), of);
      assert.deepEqual(movedBy(movedBy(of, by), -by), of);
    }),
  );
  for (const wrong of [null, '', '2026-13', '2026-1', 'x']) assert.equal(parseMonth(wrong), null);
});

test('a moment lies in the day of the clock on the wall', () => {
  assert.equal(dayKey(new Date(2026, 10, 26, 0, 0)), '2026-11-26');
  assert.equal(dayKey(new Date(2026, 10, 26, 23, 59)), '2026-11-26');
});
