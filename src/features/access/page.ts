/** Pages of a list that lies in memory; the cursor is the id after which the page begins. */

export function page<Row extends { readonly id: string }, View>(
  rows: readonly Row[],
  query: { readonly limit: number; readonly cursor?: string | undefined },
  view: (row: Row) => View,
): { items: View[]; next: string | null; total: number } {
  const from = query.cursor === undefined ? 0 : rows.findIndex(({ id }) => id === query.cursor) + 1;
  const part = rows.slice(from, from + query.limit);
  return {
    items: part.map(view),
    next: from + part.length < rows.length ? (part.at(-1)?.id ?? null) : null,
    total: rows.length,
  };
}
