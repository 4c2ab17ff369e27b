/** What programs and people read at the end of a test run. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SuiteResult } from './results.ts';
import { summaryOf } from './summary.ts';

const unit: SuiteResult = {
  name: 'unit',
  passed: 12,
  failed: 1,
  skipped: 0,
  durationMs: 2000,
  counts: ['3 of 17 names'],
  files: Array.from({ length: 6 }, (_, n) => ({ file: `src/u${n}.test.ts`, durationMs: n * 1000 })),
  notRun: [],
  failures: ['src/x.test.ts: a name is kept'],
};
const e2e: SuiteResult = {
  ...unit,
  name: 'e2e',
  passed: 0,
  failed: 0,
  skipped: 2,
  counts: [],
  files: Array.from({ length: 6 }, (_, n) => ({ file: `test/e${n}.test.ts`, durationMs: n * 100_000 })),
  notRun: [{ what: '2 files', why: 'chromium is not installed' }],
  failures: [],
};

test('the last line has the totals and nothing else', () => {
  assert.equal(summaryOf([unit, e2e], 7).split('\n').at(-1), '12 passed, 1 failed, 2 skipped');
});

test('counts, what did not run with its reason, what failed and the seed are told', () => {
  const text = summaryOf([unit, e2e], 7);
  for (const line of [
    'unit: 3 of 17 names',
    'not run: e2e: 2 files: chromium is not installed',
    'failed: unit: src/x.test.ts: a name is kept',
    'seed 7 (repeat with: ./hv test --seed 7)',
  ]) {
    assert.ok(text.split('\n').includes(line), line);
  }
});

test('the ten slowest files of all suites are told, the slowest first', () => {
  const slowest = summaryOf([unit, e2e], 7)
    .split('\n')
    .filter((line) => line.startsWith('slowest: '));
  assert.equal(slowest.length, 10);
  assert.deepEqual(
    [slowest[0], slowest[5], slowest[9]],
    ['slowest: test/e5.test.ts: 8 min 20 s', 'slowest: src/u5.test.ts: 5 s', 'slowest: src/u1.test.ts: 1 s'],
  );
});
