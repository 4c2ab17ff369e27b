/** Gives kysely's SQLite dialect the statement interface it expects, over Node's own SQLite. Statements are compiled once and kept. */

import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import type { SqliteDatabase, SqliteStatement } from 'kysely';

const KEPT_STATEMENTS = 300;

function bindable(value: unknown): SQLInputValue {
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint')
    return value;
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'boolean') return value ? 1 : 0;
  throw new TypeError(`a value of type ${typeof value} cannot be stored`);
}

function adapt(statement: StatementSync): SqliteStatement {
  return {
    reader: statement.columns().length > 0,
    all: (parameters) => statement.all(...parameters.map(bindable)),
    run: (parameters) => statement.run(...parameters.map(bindable)),
    iterate: (parameters) => statement.iterate(...parameters.map(bindable)),
  };
}

export function sqliteStatements(sqlite: DatabaseSync): SqliteDatabase {
  const compiled = new Map<string, SqliteStatement>();
  return {
    prepare(sql) {
      // An immediate transaction takes the write lock at once, so two writers can never meet half-way.
      const text = sql === 'begin' ? 'begin immediate' : sql;
      const known = compiled.get(text);
      if (known) return known;
      const statement = adapt(sqlite.prepare(text));
      if (compiled.size >= KEPT_STATEMENTS) compiled.clear();
      compiled.set(text, statement);
      return statement;
    },
    close: () => sqlite.close(),
  };
}
