import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOlderHours } from './older-hours.ts';

const HOUR_MS = 3_600_000;

function setUp(growing: readonly number[] = []) {
  const now = { tick: 1, wallMs: 100 * HOUR_MS };
  let reads = 0;
  const owner = { type: 'host', id: 'local' } as const;
  const older = createOlderHours({
    // Of the book only who owns a series is asked, of a column only its samples.
    book: { entry: () => ({ owner, factor: 1 }), owner: () => ({ owner }) } as never,
    columns: () => {
      reads += 1;
      return [{ offsets: [0, 180], values: [1, 2] }] as never;
    },
    unwrittenHours: () => growing,
    now,
  });
  const read = (series: number, hours: number) => {
    const seen: number[] = [];
    const isWhole = older.read(series, now.wallMs - hours * HOUR_MS, now.wallMs - 1, (atMs) => seen.push(atMs));
    return { isWhole, seen };
  };
  return { now, read, reads: () => reads };
}

test('an hour on the disk is read once, however often rules look back over it', () => {
  const { now, read, reads } = setUp();
  assert.deepEqual(
    read(1, 2).seen,
    [98.5, 99, 99.5].map((hours) => hours * HOUR_MS),
  );
  const after = reads();
  for (let n = 0; n < 100; n += 1) {
    now.tick += 1;
    assert.equal(read(1, 2).seen.length, 3);
  }
  assert.equal(reads(), after);
});

test('one that nobody looked at for an hour is given back', () => {
  const { now, read, reads } = setUp();
  read(1, 2);
  const once = reads();
  now.tick += 400;
  read(2, 2);
  now.tick += 400;
  read(1, 2);
  assert.equal(reads(), 3 * once);
});

test('hours that still grow are read each time', () => {
  const { now, read, reads } = setUp([99]);
  read(1, 2);
  const first = reads();
  now.tick += 1;
  read(1, 2);
  assert.equal(reads(), first + 1);
});

test('for one tick only so many hours are read; the rest follows, and until then the answer says so', () => {
  const { now, read, reads } = setUp();
  const wholeNow = () => Array.from({ length: 100 }, (_, series) => read(series, 10)).filter(({ isWhole }) => isWhole);
  const first = wholeNow().length;
  assert.ok(first > 0 && first < 100, `${first} of 100`);
  assert.equal(reads(), 300);
  for (let n = 0; n < 3; n += 1) {
    now.tick += 1;
    wholeNow();
  }
  assert.equal(wholeNow().length, 100);
});
