import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Column, tableLines } from './table.ts';
import { textWidth } from './text.ts';

interface Row {
  readonly name: string;
  readonly size: string;
  readonly note: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { title: 'NAME', value: (row) => row.name, flexibleTo: 8 },
  { title: 'SIZE', value: (row) => row.size, align: 'right' },
  { title: 'NOTE', value: (row) => row.note, flexibleTo: 6, isOptional: true },
];
const ROWS: readonly Row[] = [
  { name: 'a-rather-long-name-of-a-machine', size: '1024 GiB', note: 'something to say about it' },
  { name: '電脳電脳電脳', size: '2 GiB', note: '' },
];
const plain = (_colour: unknown, text: string) => text;

test('a table fits every width that its fixed columns allow, and never cuts a number', () => {
  for (let width = 18; width < 100; width += 1) {
    const lines = tableLines(COLUMNS, ROWS, width, plain);
    for (const line of lines) assert.ok(textWidth(line) <= width, `${width}: ${line}`);
    assert.match(lines[1] ?? '', /1024 GiB/);
  }
});

test('an optional column goes when there is no room for it', () => {
  assert.match(tableLines(COLUMNS, ROWS, 40, plain)[0] ?? '', /NOTE/);
  assert.doesNotMatch(tableLines(COLUMNS, ROWS, 22, plain)[0] ?? '', /NOTE/);
});

test('without a terminal nothing is cut', () => {
  assert.match(
    tableLines(COLUMNS, ROWS, Number.POSITIVE_INFINITY, plain)[1] ?? '',
    /machine +1024 GiB {2}something to say about it$/,
  );
});

test('right-aligned columns end together', () => {
  const [, first = '', second = ''] = tableLines(COLUMNS.slice(0, 2), ROWS, 80, plain);
  assert.equal(textWidth(first), textWidth(second));
});
