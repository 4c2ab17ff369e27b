import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { killPoints } from './kill-points.ts';

const STEPS = ['vm.create:disks', 'vm.create:define', 'vm.create:start', 'vm.create:publish'];
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

test('in each run each step is killed in once and each moment comes, and three seeds in a row kill everywhere', () => {
  for (const seed of [0, 1, 2, 2 ** 31]) {
    const points = chosen(seed);
    assert.deepEqual(
      points.map((point) => point.slice(0, point.lastIndexOf(':'))),
      STEPS,
    );
    assert.equal(new Set(points.map((point) => point.slice(point.lastIndexOf(':')))).size, 3);
    assert.deepEqual(points, chosen(seed), 'a seed repeats its points');
  }
  const three = new Set([7, 8, 9].flatMap(chosen));
  process.env['HV_TEST_FULL'] = '1';
  const { points, all } = killPoints(STEPS);
  assert.equal(all, 12);
  assert.deepEqual([...three].sort(), [...points].sort());
});
