/** Names that are offered must be names that the server takes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NAME_PATTERN } from '#kernel/names.ts';
import { kindFromFile, nameFromFile } from './image-name.ts';

test('a file name becomes a short plain name', () => {
  assert.equal(nameFromFile('debian-13.0.0-amd64-netinst.iso'), 'debian-13-0-0-amd64-netinst');
  assert.equal(nameFromFile('https://example.org/x/Fedora_Cloud.qcow2.xz?a=b'), 'fedora-cloud');
  assert.equal(nameFromFile('???'), 'image');
  assert.equal(nameFromFile('p3-web.iso'), 'image');
});

test('whatever a file is called, the name is valid', () => {
  fc.assert(fc.property(fc.string(), (fileName) => NAME_PATTERN.test(nameFromFile(fileName))));
});

test('the ending tells the kind, and nothing is guessed without one', () => {
  assert.equal(kindFromFile('x.ISO'), 'iso');
  assert.equal(kindFromFile('x.qcow2'), 'disk');
  assert.equal(kindFromFile('vmlinuz-6.1'), 'kernel');
  assert.equal(kindFromFile('notes.txt'), null);
});
