import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isNetAdmin } from './capabilities.ts';

test('the right to change network devices is one bit of the effective set', () => {
  const status = (effective: string) => `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\nCapBnd:\t0\n`;
  assert.equal(isNetAdmin(status('000001ffffffffff')), true);
  assert.equal(isNetAdmin(status('0000000000001000')), true);
  assert.equal(isNetAdmin(status('0000000000000000')), false);
  assert.equal(isNetAdmin(status('000001ffffffefff')), false);
  assert.equal(isNetAdmin('Name:\tnode\n'), false);
});
