import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { killPoints } from './kill-points.ts';

const STEPS = ['look', 'disks', 'seed', 'define', 'start', 'publish'].map((step) => `vm.create:${step}`);
const { HV_TEST_SEED, HV_TEST_FULL } = process.env;

function chosen(seed: number): readonly string[] {
  process.env['HV_TEST_SEED'] = String(seed);
  delete process.env['HV_TEST_FULL'];
  return killPoints(STEPS).points;
}

afterEach(() => {
  Object.assign(process.env, { HV_TEST_SEED: HV_TEST_SEED ?? '1' });
  if (HV_TEST_FULL === undefined) delete process.env['HV_TEST_FULL'];
  else process.env['HV_TEST_FULL'] = HV_TEST_FULL;
});

test('a run kills in every second step, two in all of them, and six seeds in a row everywhere', () => {
  const stepOf = (point: string) => point.slice(0, point.lastIndexOf(':'));
  for (const seed of [0, 1, 2, 2 ** 31]) {
    const points = chosen(seed);
    assert.deepEqual(chosen(seed), points, 'a seed repeats its points');
    assert.equal(points.length, STEPS.length / 2);
    assert.equal(new Set(points.map((point) => point.slice(point.lastIndexOf(':')))).size, 3);
    assert.deepEqual([...points, ...chosen(seed + 1)].map(stepOf).sort(), [...STEPS].sort());
  }
  const six = new Set([7, 8, 9, 10, 11, 12].flatMap(chosen));
  process.env['HV_TEST_FULL'] = '1';
  const { points, all } = killPoints(STEPS);
  assert.equal(all, 18);
  assert.deepEqual([...six].sort(), [...points].sort());
});
