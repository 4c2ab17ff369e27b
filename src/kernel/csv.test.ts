import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvCell } from './csv.ts';

test('C8: no cell can be taken for a formula', () => {
  for (const start of ['=', '+', '-', '@', '\t', '\r']) {
    assert.equal(csvCell(`${start}SUM(A1)`), `"'${start}SUM(A1)"`);
    assert.match(csvCell(`${start}cmd|' /C calc'!A0`), /^"'/, JSON.stringify(start));
  }
  assert.equal(csvCell('a "b", c'), '"a ""b"", c"');
  assert.equal(csvCell('a,"b"\nc'), '"a,""b""\nc"');
  assert.equal(csvCell('plain'), 'plain');
  assert.equal(csvCell(-5), '-5');
  assert.equal(csvCell(null), '');
});
