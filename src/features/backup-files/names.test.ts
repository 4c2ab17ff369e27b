import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dispositionOf, pathOfText, textOfName } from './names.ts';

/** A name as a file system may hold it: any bytes but NUL and the slash. */
const nameBytes = fc
  .oneof(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).map((text) => new Uint8Array(Buffer.from(text))),
  )
  .map((bytes) => bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x78 : byte)))
  .filter((bytes) => !['.', '..'].includes(Buffer.from(bytes).toString('latin1')));

test('every name comes back from its text, and the text can be shown', () => {
  fc.assert(
    fc.property(fc.array(nameBytes, { minLength: 1, maxLength: 4 }), (names) => {
      const text = names.map(textOfName).join('/');
      assert.doesNotMatch(text, /\p{Cc}/u);
      assert.ok(text.isWellFormed());
      const bytes = Buffer.concat(names.flatMap((name) => [Buffer.from('/'), Buffer.from(name)]));
      assert.deepEqual(pathOfText(text), bytes);
    }),
  );
});

test('names of people are shown as they are', () => {
  for (const name of ['hosts', 'Ärger – 中文 🎉', "it's (1).txt"]) assert.equal(textOfName(Buffer.from(name)), name);
  assert.equal(textOfName(Buffer.from('a\nb\\c\x1b[2J')), 'a\\x0ab\\x5cc\\x1b[2J');
  assert.equal(textOfName(Buffer.of(0x41, 0xc3, 0x28, 0xed, 0xa0, 0x80)), 'A\\xc3(\\xed\\xa0\\x80');
});

test('what leads elsewhere is no path', () => {
  for (const path of ['..', '/a/../b', '/.', 'a\\x00b', '\\x2e\\x2E/x', 'x'.repeat(5000)])
    assert.throws(() => pathOfText(path), { code: 'invalid_input' }, path);
  for (const [path, meant] of [
    ['', '/'],
    ['/', '/'],
    ['etc//hosts/', '/etc/hosts'],
    ['...', '/...'],
    ['\\xzz', '/\\xzz'],
  ] as const)
    assert.equal(pathOfText(path).toString(), meant);
});

test('the name of a download holds nothing that a header or a file system would take for something else', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (name) => {
      const header = dispositionOf(name);
      assert.match(
        header,
        /^attachment; filename="[A-Za-z0-9_-][A-Za-z0-9._-]*"; filename\*=UTF-8''[A-Za-z0-9!~._%-]*$/,
      );
    }),
  );
});
