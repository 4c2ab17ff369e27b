import assert from 'node:assert/strict';
import { test } from 'node:test';
import { valueText } from './values.ts';

test('numbers are written in the units of their dimension; unknown is a dash, never 0', () => {
  assert.equal(valueText(null, 'ratio'), '–');
  assert.equal(valueText(0.823, 'ratio'), '82 %');
  assert.equal(valueText(0.0234, 'ratio'), '2.3 %');
  assert.equal(valueText(1.5 * 2 ** 30, 'bytes'), '1.5 GiB');
  assert.equal(valueText(2 ** 20, 'bytes_per_second'), '1 MiB/s');
  assert.equal(valueText(0.00347, 'seconds'), '3.47 ms');
  assert.equal(valueText(0.0000425, 'seconds'), '42.5 µs');
  assert.equal(valueText(0, 'seconds'), '0 s');
  assert.equal(valueText(90, 'seconds'), '1 min 30 s');
  assert.equal(valueText(41.5, 'celsius'), '41.5 °C');
});
