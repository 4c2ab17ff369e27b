/** Colouring must never change what is shown. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { colourXml } from './xml-colours.ts';

test('tags, names, values and comments are told apart', () => {
  assert.deepEqual(
    colourXml(`<a b='c'/><!-- d -->`).map(({ kind, text }) => `${kind}:${text}`),
    ['tag:<a', 'text: ', 'name:b', 'text:=', "value:'c'", 'tag:/>', 'comment:<!-- d -->'],
  );
});

test('the pieces of any text are the text again', () => {
  fc.assert(
    fc.property(fc.string(), (source) => {
      assert.equal(
        colourXml(source)
          .map(({ text }) => text)
          .join(''),
        source,
      );
    }),
  );
});
