import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NAME_PATTERN, RESERVED_NAME_PATTERN } from '#kernel/names.ts';
import { fileNameOf, nameFrom } from './image-name.ts';

const free = () => false;

test('a file name becomes a plain name', () => {
  assert.equal(nameFrom('Fedora-Cloud_43.x86_64.qcow2', free), 'fedora-cloud-43-x86-64');
  assert.equal(nameFrom('debian-13-generic-amd64.QCOW2', free), 'debian-13-generic-amd64');
  assert.equal(nameFrom('../../etc/cron.d/x.iso', free), 'etc-cron-d-x');
  assert.equal(nameFrom('p3-web.iso', free), 'image');
  assert.equal(nameFrom('.iso', free), 'image');
});

test('a taken name gets a number', () => {
  const taken = new Set(['debian', 'debian-2']);
  assert.equal(
    nameFrom('debian.iso', (name) => taken.has(name)),
    'debian-3',
  );
});

test('any file name gives a name that fits the rule', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), fc.nat(1200), (text, takenCount) => {
      let asked = 0;
      const name = nameFrom(text, () => asked++ < takenCount % 50);
      assert.match(name, NAME_PATTERN);
      assert.doesNotMatch(name, RESERVED_NAME_PATTERN);
    }),
  );
});

test('the file name of an address is its last part, decoded where that is possible', () => {
  assert.equal(fileNameOf('https://example.org/a/b%20c.iso?x=/y.iso'), 'b c.iso');
  assert.equal(fileNameOf('https://example.org/100%.iso'), '100%.iso');
  assert.equal(fileNameOf('https://example.org/'), '');
});
