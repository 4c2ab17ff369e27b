/** The state database: one SQLite file, one writer, every change in a transaction that is on disk when it returns.
 *  Each slice declares its own tables and asks for a typed view of them. */

import { chmodSync, closeSync, openSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Kysely, SqliteDialect } from 'kysely';
import { messageOf } from '#kernel/errors.ts';
import { createPulse } from './pulse.ts';
import { keepRoom } from './room.ts';
import { sqliteStatements } from './sqlite-statements.ts';

/** A numbered change of one slice's tables. Append-only: a released migration is never edited. */
export interface Migration {
  /** As `001-operations`; unique within the slice, applied in order. */
  readonly id: string;
  readonly statements: readonly string[];
}

/** A running transaction. */
export interface Transaction {
  tables<Tables>(): Kysely<Tables>;
  /** Runs when the transaction is on disk, and never when it is not: for what others are told of it. */
  afterCommit(act: () => void): void;
}

export interface Database {
  /** A typed view for reads and for single-statement writes.
   *  @throws AppError `unavailable` as `transaction` does */
  tables<Tables>(): Kysely<Tables>;
  /** Runs `work` in one immediate transaction; commits when it resolves, rolls back when it rejects. Transactions run one after the other.
   *  @throws AppError `unavailable` when the database cannot be written (full disk, read-only file system, a disk that does not answer) */
  transaction<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result>;
  migrate(slice: string, migrations: readonly Migration[]): void;
  /** The migrations of each slice, in the order in which the slices brought theirs. */
  readonly migrations: ReadonlyMap<string, readonly Migration[]>;
  close(): Promise<void>;
}

/** Opens or makes the database file and checks it.
 *  @throws Error naming the file when it is damaged: it is never silently recreated */
export function openDatabase(path: string): Database {
  // ':memory:' would be two files in the working folder.
  if (!isAbsolute(path)) throw new TypeError(`the state database needs an absolute path, not ${path}`);
  // Ours alone before anything is in it: others may pass through its folder. SQLite gives its side files the same rights.
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const sqlite = new DatabaseSync(path, { enableForeignKeyConstraints: true });
  sqlite.exec(
    'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -4096;',
  );
  const check = sqlite.prepare('PRAGMA quick_check').get();
  if (check?.['quick_check'] !== 'ok') {
    sqlite.close();
    throw new Error(
      `The state database ${path} is damaged (${String(check?.['quick_check'])}). Restore it from a backup; it is not replaced by itself.`,
    );
  }
  sqlite.exec(
    'CREATE TABLE IF NOT EXISTS migration(slice TEXT NOT NULL, id TEXT NOT NULL, applied_at TEXT NOT NULL, PRIMARY KEY(slice, id)) STRICT',
  );
  keepRoom(sqlite);
  const pulse = createPulse(`${path}-pulse`);

  const kysely = new Kysely<Record<string, never>>({
    dialect: new SqliteDialect({ database: sqliteStatements(sqlite) }),
  });
  // One typed door onto one untyped file: the slice that owns a table states its shape.
  const viewOf = <Tables>(handle: unknown): Kysely<Tables> => handle as Kysely<Tables>;

  const brought = new Map<string, readonly Migration[]>();
  let queue: Promise<unknown> = Promise.resolve();
  return {
    migrations: brought,
    tables: <Tables>() => viewOf<Tables>(kysely),
    transaction: (work) => {
      const run = queue.then(async () => {
        const afterwards: (() => void)[] = [];
        await pulse.check();
        const result = await kysely.transaction().execute((tx) =>
          work({
            tables: <Tables>() => viewOf<Tables>(tx),
            afterCommit: (act) => void afterwards.push(act),
          }),
        );
        for (const act of afterwards) act();
        return result;
      });
      // The next transaction waits for this one whatever its end; the caller hears of a failure through `run`.
      queue = run.then(
        () => undefined,
        () => undefined,
      );
      return run;
    },
    migrate(slice, migrations) {
      brought.set(slice, [...(brought.get(slice) ?? []), ...migrations]);
      const applied = new Set(
        sqlite
          .prepare('SELECT id FROM migration WHERE slice = ?')
          .all(slice)
          .map((row) => String(row['id'])),
      );
      for (const migration of migrations) {
        if (applied.has(migration.id)) continue;
        sqlite.exec('BEGIN IMMEDIATE');
        try {
          for (const statement of migration.statements) sqlite.exec(statement);
          sqlite
            .prepare('INSERT INTO migration(slice, id, applied_at) VALUES(?, ?, ?)')
            .run(slice, migration.id, new Date().toISOString());
          sqlite.exec('COMMIT');
        } catch (error) {
          sqlite.exec('ROLLBACK');
          throw new Error(`Migration ${slice}/${migration.id} failed: ${messageOf(error)}`, { cause: error });
        }
      }
    },
    close: async () => {
      await kysely.destroy();
      await pulse.close();
    },
  };
}
