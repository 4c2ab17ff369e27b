import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from './database.ts';

interface Tables {
  thing: { id: string; amount: number };
}

const migrations = [
  { id: '001-thing', statements: ['CREATE TABLE thing(id TEXT PRIMARY KEY, amount INTEGER NOT NULL) STRICT'] },
];

async function withDatabase(work: (path: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-db-'));
  try {
    await work(join(dir, 'state.db'));
  } finally {
    await rm(dir, { recursive: true });
  }
}

test('a transaction that fails leaves nothing behind, and the next one works', () =>
  withDatabase(async (path) => {
    const db = openDatabase(path);
    db.migrate('things', migrations);
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.tables<Tables>().insertInto('thing').values({ id: 'a', amount: 1 }).execute();
        throw new Error('no');
      }),
      /no/,
    );
    await db.transaction((tx) => tx.tables<Tables>().insertInto('thing').values({ id: 'b', amount: 2 }).execute());
    assert.deepEqual(
      (await db.tables<Tables>().selectFrom('thing').selectAll().execute()).map((row) => row.id),
      ['b'],
    );
    await db.close();
  }));

test('transactions that await run one after the other', () =>
  withDatabase(async (path) => {
    const db = openDatabase(path);
    db.migrate('things', migrations);
    await db.tables<Tables>().insertInto('thing').values({ id: 'a', amount: 0 }).execute();
    await Promise.all(
      Array.from({ length: 50 }, () =>
        db.transaction(async (tx) => {
          const row = await tx.tables<Tables>().selectFrom('thing').select('amount').executeTakeFirstOrThrow();
          await new Promise((resolve) => setImmediate(resolve));
          await tx
            .tables<Tables>()
            .updateTable('thing')
            .set({ amount: row.amount + 1 })
            .execute();
        }),
      ),
    );
    const row = await db.tables<Tables>().selectFrom('thing').select('amount').executeTakeFirstOrThrow();
    assert.equal(row.amount, 50);
    await db.close();
  }));

test('migrations are applied once and a failing one changes nothing', () =>
  withDatabase(async (path) => {
    const db = openDatabase(path);
    db.migrate('things', migrations);
    db.migrate('things', migrations);
    assert.throws(
      () =>
        db.migrate('things', [
          ...migrations,
          { id: '002', statements: ['ALTER TABLE thing ADD COLUMN note TEXT', 'nonsense'] },
        ]),
      /things\/002/,
    );
    const again = openDatabase(path);
    again.migrate('things', [...migrations, { id: '002', statements: ['ALTER TABLE thing ADD COLUMN note TEXT'] }]);
    await again.close();
    await db.close();
  }));

test('nobody else can read the database or its side files', () =>
  withDatabase(async (path) => {
    const db = openDatabase(path);
    db.migrate('things', migrations);
    await db.transaction((tx) => tx.tables<Tables>().insertInto('thing').values({ id: 'a', amount: 1 }).execute());
    for (const suffix of ['', '-wal', '-shm']) assert.equal((await stat(path + suffix)).mode & 0o777, 0o600, suffix);
    await db.close();
  }));
