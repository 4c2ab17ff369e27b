import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decodeRice, encodeRice, RICE_LIMIT } from './rice.ts';
import { DamagedBytes } from './varints.ts';

const numRuns = process.env['HV_TEST_FULL'] === '1' ? 100_000 : 2_000;

/** Noise of all sizes, which may change in the middle of a run; the largest differences that there are. */
const differences = fc
  .array(
    fc.tuple(fc.integer({ min: 0, max: 30 }), fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { maxLength: 40 })),
    { maxLength: 8 },
  )
  .map((parts) => parts.flatMap(([bits, shares]) => shares.map((share) => Math.trunc(share * (2 ** bits - 1)))));

const runOf = (first: number, steps: readonly number[]) => {
  const values = new Float64Array(steps.length + 1);
  values[0] = first;
  for (const [n, step] of steps.entries()) values[n + 1] = (values[n] ?? 0) + step;
  return values;
};
const meanOf = (steps: readonly number[]) =>
  steps.reduce((sum, step) => sum + Math.abs(step), 0) / Math.max(1, steps.length);
const decoded = (bytes: Uint8Array, first: number, length: number) => {
  const values = new Float64Array(length);
  values[0] = first;
  decodeRice(bytes, values);
  return values;
};

test('a run of numbers comes back, whatever the mean to begin with', () => {
  fc.assert(
    fc.property(
      differences,
      fc.integer(),
      fc.option(fc.integer({ min: 0, max: RICE_LIMIT - 1 })),
      (steps, first, mean) => {
        const values = runOf(first, steps);
        const bytes = encodeRice(values, mean ?? meanOf(steps));
        assert.deepEqual(decoded(bytes, first, values.length), values);
      },
    ),
    { numRuns },
  );
  const extremes = runOf(0, [RICE_LIMIT - 1, 1 - RICE_LIMIT, 0, 0, 1 - RICE_LIMIT, RICE_LIMIT - 1]);
  assert.deepEqual(decoded(encodeRice(extremes, 0), 0, extremes.length), extremes);
});

test('noise takes hardly more bits than there are in it', () => {
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return state / 2 ** 32;
  };
  for (const bits of [4, 12, 20]) {
    const steps = Array.from({ length: 360 }, () => Math.trunc((random() - 0.5) * 2 ** bits));
    const perNumber = (encodeRice(runOf(0, steps), meanOf(steps)).length * 8) / steps.length;
    assert.ok(perNumber < bits + 0.8, `${perNumber} bits for ${bits}`);
  }
});

test('a run that was cut short is refused', () => {
  const values = runOf(
    5,
    Array.from({ length: 100 }, (_, n) => (n % 7) * 1000),
  );
  const bytes = encodeRice(values, 3000).slice();
  for (let length = 0; length < bytes.length - 1; length += 1)
    assert.throws(() => decoded(bytes.subarray(0, length), 5, values.length), DamagedBytes, `${length} bytes`);
});
