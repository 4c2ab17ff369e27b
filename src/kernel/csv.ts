/** Cells of CSV (RFC 4180). */

/** What spreadsheets take for the beginning of a formula, or for the end of a cell before one. */
const FORMULA = /^[=+\-@\t\r]/;

/** A cell that a spreadsheet would run as a formula gets a `'` before it; numbers stay numbers. */
export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = String(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
