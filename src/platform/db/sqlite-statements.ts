/** Gives kysely's SQLite dialect the statement interface it expects, over Node's own SQLite. Statements are compiled once and kept. */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';
import { asAppError } from './sqlite-errors.ts';

const KEPT_STATEMENTS = 300;

function bindable(value: unknown): SQLInputValue {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value;
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  throw new TypeError(`a value of type ${typeof value} cannot be stored`);
}

function told<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    throw asAppError(error);
  }
}

function adapt(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => told(() => statement.all(...parameters.map(bindable))),
    run: (parameters) => told(() => statement.run(...parameters.map(bindable))),
    iterate: (parameters) => statement.iterate(...parameters.map(bindable)),
  };
}

/** SQLite ends a transaction by itself when the disk is full; a second end would fail and hide the reason of the first. */
function rollback(sqlite: DatabaseSync): SqliteStatement {
  const statement = adapt(sqlite.prepare('rollback'));
  const nothing = { changes: 0, lastInsertRowid: 0 };
  return { ...statement, run: (parameters) => (sqlite.isTransaction ? statement.run(parameters) : nothing) };
}

export function sqliteStatements(sqlite: DatabaseSync): SqliteDatabase {
  const compiled = new Map<string, SqliteStatement>();
  return {
    prepare(sql) {
      // An immediate transaction takes the write lock at once, so two writers can never meet half-way.
      const text = sql === 'begin' ? 'begin immediate' : sql;
      const known = compiled.get(text);
      if (known) return known;
      const statement = text === 'rollback' ? rollback(sqlite) : adapt(sqlite.prepare(text));
      if (compiled.size >= KEPT_STATEMENTS) compiled.clear();
      compiled.set(text, statement);
      return statement;
    },
    close: () => sqlite.close(),
  };
}
