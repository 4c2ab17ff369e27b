import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import { AppError } from '#kernel/errors.ts';
import { openDatabase } from './database.ts';

const run = promisify(execFile);

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

test('a path that is not absolute is refused: nothing is made in the working folder', () =>
  assert.throws(() => openDatabase(':memory:'), TypeError));

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

const isUnavailable = (error: unknown): boolean => error instanceof AppError && error.code === 'unavailable';

test('a database that cannot grow refuses writes in our words, tells nobody of what was not written, and goes on later', () =>
  withDatabase(async (path) => {
    const db = openDatabase(path);
    db.migrate('things', migrations);
    await db.tables<Tables>().insertInto('thing').values({ id: 'first', amount: 1 }).execute();
    const limit = async (pages: number) =>
      sql.raw(`PRAGMA max_page_count = ${pages}`).execute(db.tables<Record<string, never>>());
    // As a full disk does it, without one: SQLite answers the same.
    await limit(1);
    const told: string[] = [];
    const write = (id: string) =>
      db.transaction(async (tx) => {
        tx.afterCommit(() => told.push(id));
        await tx.tables<Tables>().insertInto('thing').values({ id, amount: 2 }).execute();
      });
    const big = 'x'.repeat(2 ** 20);
    for (let n = 0; n < 8; n += 1) await write(`${n}${big}`).catch(() => undefined);
    await assert.rejects(write(big), isUnavailable);
    await assert.rejects(
      db.tables<Tables>().insertInto('thing').values({ id: big, amount: 3 }).execute(),
      isUnavailable,
    );
    const first = db.tables<Tables>().selectFrom('thing').select('amount').where('id', '=', 'first');
    assert.equal((await first.executeTakeFirst())?.amount, 1);
    await limit(1_000_000);
    await write('later');
    assert.ok(told.at(-1) === 'later');
    assert.ok(!told.includes(big));
    await db.close();
  }));

test(
  'there is room inside the files for a megabyte of rows on a disk without any',
  {
    skip: process.getuid?.() === 0 ? false : 'mounting a small file system needs root',
  },
  () =>
    withDatabase(async (path) => {
      const dir = dirname(path);
      await run('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', dir]);
      try {
        const db = openDatabase(path);
        db.migrate('things', migrations);
        await run('sh', ['-c', `head -c 64M /dev/zero > '${dir}/filler' || true`]);
        assert.equal((await statfs(dir)).bavail, 0);
        const text = 'x'.repeat(1000);
        for (let n = 0; n < 1000; n += 1)
          await db.transaction((tx) =>
            tx
              .tables<Tables>()
              .insertInto('thing')
              .values({ id: `${n}${text}`, amount: n })
              .execute(),
          );
        await db.close();
      } finally {
        await run('umount', [dir]);
      }
    }),
);
