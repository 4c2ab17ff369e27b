/** Tables and fact sheets that fit the terminal. Only flexible columns are cut, the widest first; numbers are never cut.
 *  A table that is still too wide loses its optional columns, the last first. */

import type { Output, Paint } from './output.ts';
import { cutText, padText, textWidth, wrapText } from './text.ts';

const GAP = 2;

export interface Column<Row> {
  readonly title: string;
  /** Text without colour, already safe for a terminal. */
  value(row: Row): string;
  readonly align?: 'left' | 'right';
  /** May be cut down to this many columns. Absent = never cut. */
  readonly flexibleTo?: number;
  /** Left out when there is no room. */
  readonly isOptional?: boolean;
  colour?(text: string, row: Row, paint: Paint): string;
}

/** Prints rows; says `empty` on stderr when there are none. */
export function printTable<Row>(
  output: Output,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  empty: string,
): void {
  if (rows.length === 0) {
    output.message(empty);
    return;
  }
  for (const line of tableLines(columns, rows, output.width, output.paint)) output.line(line);
}

/** The lines of a table at most `width` columns wide. Where even its fixed columns do not fit, each row becomes a block of
 *  `TITLE value` lines. */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  paint: Paint,
): string[] {
  let shown = columns.map((column) => ({ column, cells: rows.map((row) => column.value(row)) }));
  let widths = fit(shown, width);
  while (widths === null) {
    const drop = shown.findLastIndex(({ column }) => column.isOptional === true);
    if (drop === -1) break;
    shown = shown.toSpliced(drop, 1);
    widths = fit(shown, width);
  }
  if (widths === null) return recordLines(columns, rows, width, paint);
  const sizes = widths;
  const lineOf = (cell: (index: number) => string) =>
    shown
      .map((_each, index) => cell(index))
      .join(' '.repeat(GAP))
      .trimEnd();
  const header = lineOf((index) =>
    padCell(
      shown[index]?.column,
      cutText(shown[index]?.column.title ?? '', sizes[index] ?? 0),
      sizes[index] ?? 0,
      index === shown.length - 1,
    ),
  );
  const lines = rows.map((row, rowIndex) =>
    lineOf((index) => {
      const each = shown[index];
      const text = cutText(each?.cells[rowIndex] ?? '', sizes[index] ?? 0);
      const padded = padCell(each?.column, text, sizes[index] ?? 0, index === shown.length - 1);
      return each?.column.colour && text !== ''
        ? padded.replace(text, () => each.column.colour?.(text, row, paint) ?? text)
        : padded;
    }),
  );
  return [paint('grey', header), ...lines];
}

function recordLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  paint: Paint,
): string[] {
  const titleWidth = Math.max(...columns.map(({ title }) => textWidth(title)));
  return rows.flatMap((row, index) => [
    ...(index === 0 ? [] : ['']),
    ...columns
      .filter((column) => column.value(row) !== '')
      .flatMap((column) =>
        wrapText(column.value(row), width - titleWidth - GAP).map((text, line) => {
          const shown = column.colour && text !== '' ? column.colour(text, row, paint) : text;
          return `${paint('grey', padText(line === 0 ? column.title : '', titleWidth))}${' '.repeat(GAP)}${shown}`;
        }),
      ),
  ]);
}

interface Filled<Row> {
  readonly column: Column<Row>;
  readonly cells: readonly string[];
}

function padCell<Row>(column: Column<Row> | undefined, text: string, width: number, isLast: boolean): string {
  return isLast && column?.align !== 'right' ? text : padText(text, width, column?.align);
}

function naturalWidth<Row>(column: Column<Row>, cells: readonly string[]): number {
  return cells.reduce((widest, cell) => Math.max(widest, textWidth(cell)), textWidth(column.title));
}

/** Widths of the columns within `width`, or null when that cannot be. */
function fit<Row>(shown: readonly Filled<Row>[], width: number): number[] | null {
  const widths = shown.map(({ column, cells }) => naturalWidth(column, cells));
  let excess = widths.reduce((sum, each) => sum + each, 0) + GAP * (shown.length - 1) - width;
  while (excess > 0) {
    let widest = -1;
    for (const [index, { column }] of shown.entries()) {
      const spare = column.flexibleTo === undefined ? 0 : (widths[index] ?? 0) - column.flexibleTo;
      if (spare > 0 && (widest === -1 || (widths[index] ?? 0) > (widths[widest] ?? 0))) widest = index;
    }
    if (widest === -1) return null;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess -= 1;
  }
  return widths;
}

export type Fact = readonly [label: string, value: string | null];

/** Prints `label  value` lines; null values are left out; long values continue on further lines, and one with a word that does
 *  not fit beside its label stands below it. */
export function printFacts(output: Output, facts: readonly Fact[]): void {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== null);
  const labelWidth = known.reduce((widest, [label]) => Math.max(widest, textWidth(label)), 0);
  const room = output.width - labelWidth - GAP;
  for (const [label, value] of known) {
    const longestWord = Math.max(...value.split(/\s+/).map(textWidth));
    if (longestWord > room && longestWord <= output.width - GAP) {
      output.line(output.paint('grey', label));
      for (const line of value.split('\n').flatMap((each) => wrapText(each, output.width - GAP)))
        output.line(' '.repeat(GAP) + line);
      continue;
    }
    const lines = value
      .split('\n')
      .flatMap((line) => (textWidth(line) > room && room > 15 ? wrapText(line, room) : [line]));
    for (const [index, line] of lines.entries()) {
      output.line(
        `${output.paint('grey', padText(index === 0 ? label : '', labelWidth))}${' '.repeat(GAP)}${line}`.trimEnd(),
      );
    }
  }
}

/** Prints a heading with an empty line above. */
export function printHeading(output: Output, text: string): void {
  output.line('');
  output.line(output.paint('bold', text));
}
