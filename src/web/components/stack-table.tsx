/** A table that becomes a stack of small cards where the page is narrow: the name of each row, then its values in a flow. */

import type { ComponentChildren } from 'preact';

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => ComponentChildren;
  /** `title` names the row; `menu` and `actions` are what can be done to it, their head is for screen readers only. */
  readonly kind?: 'title' | 'number' | 'menu' | 'actions';
  readonly class?: string;
  /** In the stack the value stands without its name. */
  readonly isSelfEvident?: boolean;
}

const CLASSES = { plain: '', number: 'number', menu: 'end has-menu', actions: 'end has-actions' } as const;

export function StackTable<Row>({
  columns,
  rows,
  keyOf,
}: {
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
}) {
  return (
    <div class="table-scroll">
      <table class="table stacks">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.head} scope="col" class={column.kind === 'number' ? 'number' : ''}>
                {column.kind === 'menu' || column.kind === 'actions' ? (
                  <span class="visually-hidden">{column.head}</span>
                ) : (
                  column.head
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={keyOf(row)}>
              {columns.map((column) => (
                <Cell key={column.head} column={column} row={row} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Cell<Row>({ column, row }: { readonly column: Column<Row>; readonly row: Row }) {
  const { kind, isSelfEvident = false, class: extra = '' } = column;
  if (kind === 'title')
    return (
      <th scope="row" class={extra}>
        {column.cell(row)}
      </th>
    );
  const hasLabel = !isSelfEvident && (kind === undefined || kind === 'number');
  return (
    <td class={`${CLASSES[kind ?? 'plain']} ${extra}`} {...(hasLabel ? { 'data-label': column.head } : {})}>
      {column.cell(row)}
    </td>
  );
}
