import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceOf } from './source-address.ts';

test('an IPv6 source is its /64', () => {
  assert.equal(sourceOf('2001:db8::1'), sourceOf('2001:db8::ffff:2'));
  assert.notEqual(sourceOf('2001:db8::1'), sourceOf('2001:db8:0:1::1'));
  assert.equal(sourceOf('::ffff:192.0.2.1'), '192.0.2.1');
  assert.equal(sourceOf('192.0.2.1'), '192.0.2.1');
  assert.equal(sourceOf('local'), 'local');
});
