/** Makes a database of kept rows: tables by our own migrations, never by a schema that came with the rows. */

import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import type { Migration } from './database.ts';
import { type AppliedMigration, quoted, storedColumns } from './snapshot.ts';
import { decodeRows } from './table-rows.ts';

/** What was kept does not fit the tables that it says it is of. The text is for people. */
export class UnfitRows extends Error {}

export interface Rebuild {
  /** Puts the rows of a part into its table; the first part of a table empties it before. @throws UnfitRows */
  put(part: Buffer): void;
  /** For corrections. */
  run(sql: string, ...values: (string | number | null)[]): void;
  all(sql: string): readonly Readonly<Record<string, unknown>>[];
  /** Checks that all references hold, and that the file is whole on the disk. @throws UnfitRows */
  finish(): void;
  close(): void;
}

/** The migrations that are not known here: a newer program applied them. */
export function unknownMigrations(
  applied: readonly AppliedMigration[],
  known: ReadonlyMap<string, readonly Migration[]>,
): readonly AppliedMigration[] {
  return applied.filter(({ slice, id }) => !known.get(slice)?.some((migration) => migration.id === id));
}

/** @param path of a file that is not there
 *  @param applied up to which the tables are made; later ones are applied when the daemon opens the file */
export function rebuildDatabase(
  path: string,
  applied: readonly AppliedMigration[],
  known: ReadonlyMap<string, readonly Migration[]>,
): Rebuild {
  closeSync(openSync(path, 'wx', 0o600));
  const sqlite = new DatabaseSync(path, { enableForeignKeyConstraints: false });
  sqlite.exec('PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF');
  sqlite.exec('BEGIN');
  sqlite.exec(
    'CREATE TABLE migration(slice TEXT NOT NULL, id TEXT NOT NULL, applied_at TEXT NOT NULL, PRIMARY KEY(slice, id)) STRICT',
  );
  const at = new Date().toISOString();
  for (const [slice, migrations] of known)
    for (const { id, statements } of migrations) {
      if (!applied.some((each) => each.slice === slice && each.id === id)) continue;
      for (const statement of statements) sqlite.exec(statement);
      sqlite.prepare('INSERT INTO migration(slice, id, applied_at) VALUES(?, ?, ?)').run(slice, id, at);
    }
  const emptied = new Set<string>();
  return {
    put(part) {
      try {
        const { table, columns, rows } = decodeRows(part);
        const there = storedColumns(sqlite, table).map(({ name }) => name);
        if (table === 'migration' || there.length === 0) throw new UnfitRows(`there is no table "${table}"`);
        const foreign = columns.find((name) => !there.includes(name));
        if (foreign !== undefined) throw new UnfitRows(`the table "${table}" has no column "${foreign}"`);
        if (!emptied.has(table)) sqlite.exec(`DELETE FROM ${quoted(table)}`);
        emptied.add(table);
        const insert = sqlite.prepare(
          `INSERT INTO ${quoted(table)}(${columns.map(quoted).join(', ')}) VALUES(${columns.map(() => '?').join(', ')})`,
        );
        for (const row of rows) insert.run(...row);
      } catch (cause) {
        if (cause instanceof UnfitRows) throw cause;
        throw new UnfitRows(`rows do not fit their table: ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
        });
      }
    },
    run: (sql, ...values) => void sqlite.prepare(sql).run(...values),
    all: (sql) => sqlite.prepare(sql).all(),
    finish() {
      const [loose] = sqlite.prepare('PRAGMA foreign_key_check').all();
      if (loose)
        throw new UnfitRows(
          `a row of "${String(loose['table'])}" belongs to one of "${String(loose['parent'])}" that is not there`,
        );
      sqlite.exec('COMMIT');
    },
    close: () => sqlite.close(),
  };
}
