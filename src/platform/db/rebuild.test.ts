import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import type { Migration } from './database.ts';
import { rebuildDatabase, UnfitRows, unknownMigrations } from './rebuild.ts';
import { openSnapshot } from './snapshot.ts';
import { decodeRows, encodeRows, type SqlValue } from './table-rows.ts';

const migrations: ReadonlyMap<string, readonly Migration[]> = new Map([
  [
    'books',
    [
      {
        id: '001',
        statements: [
          'CREATE TABLE shelf(id TEXT PRIMARY KEY) STRICT',
          `CREATE TABLE book(id INTEGER PRIMARY KEY, shelf TEXT REFERENCES shelf(id), title TEXT, cover BLOB, weight REAL,
             loud TEXT GENERATED ALWAYS AS (upper(title)) VIRTUAL) STRICT`,
          'CREATE TABLE page(book INTEGER, n INTEGER, PRIMARY KEY(book, n)) STRICT, WITHOUT ROWID',
          "INSERT INTO shelf VALUES('made by the migration')",
        ],
      },
      { id: '002', statements: ['ALTER TABLE book ADD COLUMN added TEXT'] },
    ],
  ],
]);

let folder: string;
let count = 0;
const fresh = () => {
  count += 1;
  return join(folder, `${count}.db`);
};
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hyper-rows-'));
});
after(() => rm(folder, { recursive: true }));

function library(): { readonly path: string; readonly sqlite: DatabaseSync } {
  const path = fresh();
  const first = rebuildDatabase(path, [{ slice: 'books', id: '001' }], migrations);
  first.finish();
  first.close();
  const sqlite = new DatabaseSync(path);
  sqlite.exec("DELETE FROM shelf; INSERT INTO shelf VALUES('a'); INSERT INTO page VALUES(1,1),(1,2)");
  return { path, sqlite };
}

function partsOf(path: string) {
  const snapshot = openSnapshot(path);
  try {
    return snapshot.tables.flatMap((table) => [...snapshot.parts(table)]);
  } finally {
    snapshot.close();
  }
}

test('rows of any values come out of another database as they went into the first', () => {
  const text = fc.string({ unit: 'grapheme' }).filter((value) => !value.includes('\0'));
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          title: fc.option(text),
          cover: fc.option(fc.uint8Array({ maxLength: 40 })),
          weight: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
          id: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        }),
        { maxLength: 20 },
      ),
      (books) => {
        const { path, sqlite } = library();
        const insert = sqlite.prepare('INSERT OR REPLACE INTO book(id, shelf, title, cover, weight) VALUES(?,?,?,?,?)');
        for (const { id, title, cover, weight } of books) insert.run(id, 'a', title, cover, weight);
        const all = (of: DatabaseSync) => {
          const statement = of.prepare('SELECT * FROM book ORDER BY id');
          statement.setReadBigInts(true);
          return statement.all();
        };
        const copy = fresh();
        const rebuilt = rebuildDatabase(copy, [{ slice: 'books', id: '001' }], migrations);
        for (const { bytes } of partsOf(path)) rebuilt.put(bytes);
        rebuilt.finish();
        rebuilt.close();
        const second = new DatabaseSync(copy);
        assert.deepEqual(all(second), all(sqlite));
        assert.deepEqual(
          second
            .prepare('SELECT id FROM shelf')
            .all()
            .map(({ id }) => id),
          ['a'],
        );
        assert.equal(second.prepare('SELECT count(*) AS n FROM page').get()?.['n'], 2);
        sqlite.close();
        second.close();
      },
    ),
    { numRuns: 10 },
  );
});

test('what is only added to leaves its earlier parts as they are, and an empty table is told of', () => {
  const { path, sqlite } = library();
  const insert = sqlite.prepare("INSERT INTO book(shelf, title) VALUES('a', ?)");
  sqlite.exec('BEGIN');
  for (let n = 0; n < 4500; n += 1) insert.run(`book ${n}`);
  sqlite.exec('COMMIT');
  const before = partsOf(path).filter(({ table }) => table === 'book');
  for (let n = 0; n < 100; n += 1) insert.run(`later ${n}`);
  sqlite.exec('DELETE FROM page');
  const after = partsOf(path);
  const books = after.filter(({ table }) => table === 'book');
  assert.equal(before.length, 3);
  assert.deepEqual(books.slice(0, 2), before.slice(0, 2));
  assert.notDeepEqual(books[2], before[2]);
  assert.deepEqual(
    after.filter(({ table }) => table === 'page').map(({ rows }) => rows),
    [0],
  );
  sqlite.close();
});

test('rows that fit no table are refused with the reason, and so are those that belong to nothing', () => {
  const refuse = (part: { table: string; columns: string[]; rows: SqlValue[][] }, text: RegExp) => {
    const rebuilt = rebuildDatabase(fresh(), [{ slice: 'books', id: '001' }], migrations);
    try {
      assert.throws(
        () => {
          rebuilt.put(encodeRows(part));
          rebuilt.finish();
        },
        (error: unknown) => error instanceof UnfitRows && text.test(error.message),
      );
    } finally {
      rebuilt.close();
    }
  };
  refuse({ table: 'nowhere', columns: ['id'], rows: [] }, /no table "nowhere"/);
  refuse({ table: 'migration', columns: ['id'], rows: [] }, /no table "migration"/);
  refuse({ table: 'book', columns: ['id', 'added'], rows: [] }, /no column "added"/);
  refuse({ table: 'book', columns: ['loud'], rows: [] }, /no column "loud"/);
  refuse({ table: 'book', columns: ['id'], rows: [['x']] }, /do not fit/);
  refuse({ table: 'book', columns: ['id', 'shelf'], rows: [[1n, 'gone']] }, /belongs to one of "shelf"/);
  assert.throws(() => decodeRows(Buffer.from('{"table":"book","columns":["id"]}\n[1,2]\n')));
  assert.deepEqual(
    unknownMigrations(
      [
        { slice: 'books', id: '001' },
        { slice: 'books', id: '003' },
        { slice: 'films', id: '001' },
      ],
      migrations,
    ),
    [
      { slice: 'books', id: '003' },
      { slice: 'films', id: '001' },
    ],
  );
});
