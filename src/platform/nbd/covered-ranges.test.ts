import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CoveredRanges } from './covered-ranges.ts';

test('ranges say the same as a list of every byte, in any order', () => {
  const range = fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 12 }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
      const bytes = new Array<boolean>(72).fill(false);
      const covered = new CoveredRanges();
      for (const [start, length] of ranges) {
        const isNew = bytes.slice(start, start + length).every((isThere) => !isThere);
        assert.equal(covered.add(start, start + length), isNew);
        if (isNew) bytes.fill(true, start, start + length);
        for (const size of [60, 72])
          assert.equal(
            covered.isWhole(size),
            bytes.lastIndexOf(true) === size - 1 && !bytes.slice(0, size).includes(false),
          );
      }
    }),
  );
});

test('a request cut into pieces is whole when all of them came, in whatever order', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 50 }),
      fc.infiniteStream(fc.nat()),
      (cuts, picks) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), 1000];
        const pieces = borders.slice(1).map((end, index) => [borders[index] ?? 0, end] as const);
        const covered = new CoveredRanges();
        while (pieces.length > 0) {
          assert.equal(covered.isWhole(1000), false);
          const [piece] = pieces.splice((picks.next().value ?? 0) % pieces.length, 1);
          if (piece) assert.equal(covered.add(...piece), true);
        }
        assert.equal(covered.isWhole(1000), true);
      },
    ),
  );
});

test('pieces that touch nothing are taken up to a limit', () => {
  const covered = new CoveredRanges();
  let taken = 0;
  while (covered.add(taken * 2, taken * 2 + 1)) taken += 1;
  assert.equal(taken, 1024);
});
