import assert from 'node:assert/strict';
import { test } from 'node:test';
import { figuresOf, progressLine } from './progress.ts';
import { textWidth } from './text.ts';

const AMOUNT = {
  title: 'Upload debian-12 · Receive the bytes',
  step: '1/3',
  ratio: 0.43,
  doneBytes: 430 * 2 ** 20,
  totalBytes: 1000 * 2 ** 20,
  bytesPerSecond: 57 * 2 ** 20,
};

test('figures tell share, bytes, rate and time left', () => {
  assert.equal(figuresOf(AMOUNT), '43 %  430 MiB of 1000 MiB  57 MiB/s  10 s left');
});

test('an unknown total shows bytes and no share', () => {
  assert.equal(figuresOf({ ...AMOUNT, ratio: null, totalBytes: null }), '430 MiB  57 MiB/s');
});

test('the line fits every terminal', () => {
  for (let width = 20; width < 140; width += 1) {
    const line = progressLine(AMOUNT, '◐', 1000, width);
    assert.ok(textWidth(line) < width, `${width}: ${line}`);
  }
});
