/** Pages of a list that lies in memory. The cursor names the row that the page before ended with and its place: where that row is gone by
 *  now, the next page begins at its place instead of at the beginning. */

export function page<Row extends { readonly id: string }, View>(
  rows: readonly Row[],
  query: { readonly limit: number; readonly cursor?: string | undefined },
  view: (row: Row) => View,
): { items: View[]; next: string | null; total: number } {
  const from = query.cursor === undefined ? 0 : placeAfter(rows, query.cursor);
  const part = rows.slice(from, from + query.limit);
  const end = from + part.length;
  const last = part.at(-1);
  return {
    items: part.map(view),
    next: end < rows.length && last ? `${end}.${last.id}` : null,
    total: rows.length,
  };
}

function placeAfter(rows: readonly { readonly id: string }[], cursor: string): number {
  const [, place = '0', id = ''] = /^(\d{1,9})\.(.*)$/s.exec(cursor) ?? [];
  const found = rows.findIndex((row) => row.id === id);
  // What was removed before it moved everything up by one.
  return found < 0 ? Math.max(0, Number(place) - 1) : found + 1;
}
