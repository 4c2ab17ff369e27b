import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cutText, padText, plainLog, safeText, textWidth, wrapText } from './text.ts';

test('foreign text cannot move the cursor, turn the direction or hide', () => {
  assert.equal(safeText('a\u001b[2Jb'), 'a\\u{1b}[2Jb');
  assert.equal(safeText('a\nb\tc'), 'a\\nb\\tc');
  assert.equal(safeText('x\u202egnp.exe'), 'x\\u{202e}gnp.exe');
  assert.equal(safeText('a\u200bb\u0085'), 'a\\u{200b}b\\u{85}');
  assert.equal(safeText('\ud800'), '\\u{d800}');
  assert.equal(safeText('Büro 電脳 😀'), 'Büro 電脳 😀');
});

test('width counts columns: wide characters two, combining marks and colours none', () => {
  assert.equal(textWidth('電脳'), 4);
  assert.equal(textWidth('e\u0301'), 1);
  assert.equal(textWidth('\u001b[32m●\u001b[0m ok'), 4);
  assert.equal(textWidth('😀'), 2);
});

test('a cut text never takes more than its columns', () => {
  assert.equal(cutText('abcdef', 6), 'abcdef');
  assert.equal(cutText('abcdef', 4), 'abc…');
  assert.equal(cutText('電脳電脳', 4), '電…');
  assert.equal(padText('電', 4), '電  ');
});

test('wrapping keeps words whole', () => {
  assert.deepEqual(wrapText('one two three', 8), ['one two', 'three']);
  assert.deepEqual(wrapText('extraordinarily', 5), ['extraordinarily']);
});

test('what a guest wrote is shown without terminal sequences', () => {
  assert.equal(plainLog('\u001b[32mok\u001b[0m\r\nnext\u001b]0;title\u0007!\u001b[6n'), 'ok\nnext!');
});
