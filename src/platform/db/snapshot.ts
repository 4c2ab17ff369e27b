/** Reads the whole database as it is at one moment, beside the daemon that writes to it. */

import { DatabaseSync } from 'node:sqlite';
import { encodeRows, type SqlValue } from './table-rows.ts';

/** Rows of one part, by the row's number: what is only ever added to leaves its earlier parts as they are. */
const ROWS_PER_PART = 2000;
/** A part is closed when it has grown to this. */
const MAX_PART_CHARACTERS = 8 * 2 ** 20;

/** Made by SQLite and by the database itself. */
const OWN_TABLES = ['migration', 'room'];

export interface AppliedMigration {
  readonly slice: string;
  readonly id: string;
}

export interface TablePart {
  readonly table: string;
  /** Unique in its table; for a name. */
  readonly part: string;
  readonly rows: number;
  readonly bytes: Buffer;
}

export interface Snapshot {
  readonly migrations: readonly AppliedMigration[];
  readonly tables: readonly string[];
  /** The rows of a table in parts; an empty table has one without rows. */
  parts(table: string): Generator<TablePart>;
  /** For what is asked of few rows. @param sql without values of others */
  one(sql: string): Readonly<Record<string, unknown>> | null;
  close(): void;
}

/** @param path of the database's file */
export function openSnapshot(path: string): Snapshot {
  const sqlite = new DatabaseSync(path, { readOnly: true });
  sqlite.exec('PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF; BEGIN');
  const all = (sql: string) => sqlite.prepare(sql).all();
  // The first read is the moment that all others see too.
  const tables = all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite#_%' ESCAPE '#'")
    .map(({ name }) => String(name))
    .filter((name) => !OWN_TABLES.includes(name))
    .sort();
  return {
    tables,
    migrations: all('SELECT slice, id FROM migration ORDER BY rowid').map(({ slice, id }) => ({
      slice: String(slice),
      id: String(id),
    })),
    *parts(table) {
      const columns = storedColumns(sqlite, table);
      const key = orderOf(sqlite, table);
      const selected = columns.map(({ name }) => quoted(name)).join(', ');
      const statement = sqlite.prepare(
        `SELECT ${key.isRowid ? 'rowid' : '0'} AS "row number", ${selected} FROM ${quoted(table)} ORDER BY ${key.order}`,
      );
      statement.setReadBigInts(true);
      const names = columns.map(({ name }) => name);
      let rows: SqlValue[][] = [];
      let part = 0;
      let piece = 0;
      let characters = 0;
      let count = 0;
      const take = (): TablePart => {
        const taken = {
          table,
          part: piece === 0 ? String(part) : `${part}-${piece}`,
          rows: rows.length,
          bytes: encodeRows({ table, columns: names, rows }),
        };
        rows = [];
        characters = 0;
        return taken;
      };
      let isEmpty = true;
      for (const row of statement.iterate()) {
        const next = Math.floor((key.isRowid ? Number(row['row number']) : count) / ROWS_PER_PART);
        count += 1;
        if (next !== part) {
          if (rows.length > 0) yield take();
          part = next;
          piece = 0;
        } else if (characters > MAX_PART_CHARACTERS) {
          yield take();
          piece += 1;
        }
        isEmpty = false;
        const values = names.map((name) => sqlValueOf(row[name]));
        for (const value of values) if (typeof value === 'string') characters += value.length;
        rows.push(values);
      }
      if (rows.length > 0 || isEmpty) yield take();
    },
    one: (sql) => sqlite.prepare(sql).get() ?? null,
    close: () => sqlite.close(),
  };
}

/** Without those that are computed of others. */
export function storedColumns(sqlite: DatabaseSync, table: string): readonly { name: string; key: number }[] {
  return sqlite
    .prepare(`PRAGMA table_xinfo(${quoted(table)})`)
    .all()
    .filter(({ hidden }) => hidden === 0)
    .map(({ name, pk }) => ({ name: String(name), key: Number(pk) }));
}

export const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

function orderOf(sqlite: DatabaseSync, table: string): { readonly order: string; readonly isRowid: boolean } {
  const isKeyed = sqlite.prepare('SELECT wr FROM pragma_table_list WHERE schema = ? AND name = ?').get('main', table);
  if (isKeyed?.['wr'] !== 1) return { order: 'rowid', isRowid: true };
  const key = storedColumns(sqlite, table)
    .filter((column) => column.key > 0)
    .toSorted((a, b) => a.key - b.key);
  return { order: key.map(({ name }) => quoted(name)).join(', '), isRowid: false };
}

function sqlValueOf(value: unknown): SqlValue {
  if (value === null || value === undefined) return null;
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string') return value;
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`SQLite gave a ${typeof value}`);
}
