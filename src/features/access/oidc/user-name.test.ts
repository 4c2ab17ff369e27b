import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NAME_PATTERN, RESERVED_NAME_PATTERN } from '#kernel/names.ts';
import { safeUserName } from './user-name.ts';

const free = () => false;

test('a name stays readable, and loses what is not safe', () => {
  assert.equal(safeUserName('Ada.Lovelace@example.org', free), 'ada-lovelace');
  assert.equal(safeUserName('Jürgen Øst', free), 'jurgen-st');
  assert.equal(safeUserName('../../etc/passwd', free), 'etc-passwd');
  assert.equal(safeUserName('李', free), 'user');
  assert.equal(safeUserName(null, free), 'user');
  assert.equal(safeUserName('p1-web', free), 'user');
});

test('a taken name and one that means somebody get a number', () => {
  assert.equal(safeUserName('root', free), 'root-2');
  assert.equal(safeUserName('ADMIN', free), 'admin-2');
  assert.equal(
    safeUserName('ada', (name) => name === 'ada' || name === 'ada-2'),
    'ada-3',
  );
});

test('whatever a provider says, the name is a name', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (wanted) => {
      const name = safeUserName(wanted, free);
      assert.match(name, NAME_PATTERN);
      assert.doesNotMatch(name, RESERVED_NAME_PATTERN);
    }),
  );
});
