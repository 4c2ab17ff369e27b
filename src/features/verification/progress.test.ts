import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { patience, waitLimits } from './progress.ts';

const MIN = 60_000;
const CONFIG = { firstTimeoutMs: null, stallMs: 2 * MIN };
const limitsOf = (seconds: readonly number[], accel: 'kvm' | 'tcg') => waitLimits(seconds, accel, CONFIG);

test('a VM that was never proven gets ten minutes, thirty without KVM', () => {
  assert.equal(limitsOf([], 'kvm').timeoutMs, 10 * MIN);
  assert.equal(limitsOf([], 'tcg').timeoutMs, 30 * MIN);
});

test('afterwards it gets three times the middle of its last five good starts, at least two minutes, an hour at most', () => {
  assert.equal(limitsOf([100], 'tcg').timeoutMs, 300_000);
  assert.equal(limitsOf([100, 200], 'tcg').timeoutMs, 450_000);
  assert.equal(limitsOf([100, 5000, 120, 90, 110, 1, 1, 1], 'tcg').timeoutMs, 330_000);
  assert.equal(limitsOf([4, 5, 6], 'kvm').timeoutMs, 2 * MIN);
  assert.equal(limitsOf([3000], 'tcg').timeoutMs, 60 * MIN);
});

test('a start is given up for being quiet only after its time, and for taking long only after the cap', () => {
  const limits = limitsOf([], 'kvm');
  assert.equal(patience({ elapsedMs: 9 * MIN, quietMs: 9 * MIN }, limits), 'wait');
  assert.equal(patience({ elapsedMs: 10 * MIN, quietMs: 2 * MIN }, limits), 'stalled');
  assert.equal(patience({ elapsedMs: 30 * MIN, quietMs: 119_000 }, limits), 'wait');
  assert.equal(patience({ elapsedMs: 60 * MIN, quietMs: 0 }, limits), 'timed_out');
});

test('a guest that shows something every two minutes is never called stalled', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 119_999 }), { minLength: 1, maxLength: 60 }),
      fc.array(fc.integer({ min: 1, max: 4000 }), { maxLength: 7 }),
      fc.constantFrom('kvm' as const, 'tcg' as const),
      (gaps, seconds, accel) => {
        const limits = limitsOf(seconds, accel);
        let elapsedMs = 0;
        for (const quietMs of gaps) {
          elapsedMs += quietMs;
          assert.notEqual(patience({ elapsedMs, quietMs }, limits), 'stalled');
        }
      },
    ),
  );
});
