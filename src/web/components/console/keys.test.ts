/** Typing a text must reach every printable ASCII character on every layout, and say what it cannot type. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LAYOUTS, type LayoutName, pressesFor, readyToType } from './keys.ts';

const names = Object.keys(LAYOUTS).filter((name): name is LayoutName => name in LAYOUTS);
const shellCharacters = [
  ...'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -_=/\\|.,:;<>()[]{}"\'#$%&*!?@+~\n\t',
];

test('every layout types what a shell command needs', () => {
  for (const name of names) {
    const missing = shellCharacters.filter((character) => pressesFor(character, name) === null);
    assert.deepEqual(missing, [], `layout ${name}`);
  }
});

test('a capital letter is pressed together with Shift', () => {
  assert.deepEqual(
    pressesFor('A', 'us')?.map((press) => press.code),
    ['ShiftLeft', 'KeyA'],
  );
});

test('the German layout types z on the key that is y on the American one', () => {
  assert.equal(pressesFor('z', 'de')?.[0]?.code, 'KeyY');
});

test('characters without a key are named and left out', () => {
  const ready = readyToType('a→b\r\nc', 'us');
  assert.deepEqual(ready.characters, ['a', 'b', '\n', 'c']);
  assert.deepEqual(ready.missing, ['→']);
});

test('no key of a layout is given to two characters of one level', () => {
  for (const name of names) {
    for (const level of [1, 2] as const) {
      const codes = LAYOUTS[name].map((row) => `${row[0]}${level}`);
      assert.equal(new Set(codes).size, codes.length, `layout ${name}`);
    }
  }
});
