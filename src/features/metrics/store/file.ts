/** `metrics.db`: a SQLite file of its own beside the state database. It may be thrown away, so it is written without waiting for the
 *  disk; and a damaged one is put aside and begun anew, because figures of tomorrow are worth more than none. */

import { randomBytes } from 'node:crypto';
import { chmodSync, closeSync, existsSync, openSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { hasErrno } from '#kernel/errors.ts';

const SCHEMA = `
  CREATE TABLE meta(version INTEGER NOT NULL, id TEXT) STRICT;
  CREATE TABLE owner(id INTEGER PRIMARY KEY, type TEXT NOT NULL, uuid TEXT NOT NULL, seen_hour INTEGER NOT NULL, UNIQUE(type, uuid)) STRICT;
  CREATE TABLE metric(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE series(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, metric INTEGER NOT NULL, kind TEXT NOT NULL, sub TEXT NOT NULL,
    decimals INTEGER NOT NULL, UNIQUE(owner, metric, kind, sub)) STRICT;
  CREATE TABLE held(series INTEGER PRIMARY KEY, scaled INTEGER NOT NULL) STRICT;
  CREATE TABLE chunk(id INTEGER PRIMARY KEY, hour INTEGER NOT NULL, owner INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE(hour, owner)) STRICT;
  CREATE TABLE rollup(id INTEGER PRIMARY KEY, tier INTEGER NOT NULL, metric INTEGER NOT NULL, hour INTEGER NOT NULL, hours INTEGER NOT NULL,
    bytes BLOB NOT NULL, UNIQUE(tier, metric, hour)) STRICT;
  CREATE INDEX rollup_of_hour ON rollup(hour, metric, tier) WHERE hours = 1;
  CREATE INDEX rollup_age ON rollup(tier, hour);
`;
const VERSION = 2;
/** Kept the log of ticks in a table of its own; what was in it, an hour at most, is let go. */
const VERSION_WITH_TICKS = 1;

/** Small pages: a block of 16 KiB ends in the middle of its last page, and half a page is lost with each. Smaller ones save 2 % more,
 *  and each page that a tick writes takes two calls of the kernel. */
const PAGE_BYTES = 2048;

/** Primary result codes of a file that is not whole: corrupt, not a database (https://sqlite.org/rescode.html). */
const DAMAGED = [11, 26];

export interface MetricsFile {
  readonly sqlite: DatabaseSync;
  /** Of this file and no other: what lies beside it is known by it. */
  readonly id: string;
  /** Runs work in one transaction.
   *  @param options.isSynced it is on its storage afterwards; otherwise a power cut may undo it, and what came after */
  transaction(work: () => void, options?: { readonly isSynced?: boolean }): void;
  /** Bytes that hold something, and those that are free inside the file. */
  size(): { readonly usedBytes: number; readonly freeBytes: number };
  close(): void;
}

/** True when SQLite says that the file is damaged. */
export function isDamagedFile(error: unknown): boolean {
  return (
    hasErrno(error, 'ERR_SQLITE_ERROR') &&
    error instanceof Error &&
    'errcode' in error &&
    typeof error.errcode === 'number' &&
    DAMAGED.includes(error.errcode & 0xff)
  );
}

/** Opens the file or makes it. @throws the error of SQLite */
export function openMetricsFile(path: string): MetricsFile {
  // Ours alone before anything is in it, as the state database.
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const sqlite = new DatabaseSync(path);
  let id: string;
  try {
    sqlite.exec(`PRAGMA page_size = ${PAGE_BYTES}; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; PRAGMA trusted_schema = OFF; PRAGMA cache_size = -2048;
      PRAGMA journal_size_limit = 8388608; PRAGMA wal_autocheckpoint = 2000;`);
    id = prepareSchema(sqlite);
  } catch (error) {
    sqlite.close();
    throw error;
  }
  const pragma = (name: string) => Number(sqlite.prepare(`PRAGMA ${name}`).get()?.[name]);
  return {
    sqlite,
    id,
    transaction(work, { isSynced = false } = {}) {
      if (isSynced) sqlite.exec('PRAGMA synchronous = FULL');
      try {
        sqlite.exec('BEGIN IMMEDIATE');
        work();
        sqlite.exec('COMMIT');
      } catch (error) {
        // SQLite ends a transaction by itself when the disk is full.
        if (sqlite.isTransaction) sqlite.exec('ROLLBACK');
        throw error;
      } finally {
        if (isSynced) sqlite.exec('PRAGMA synchronous = NORMAL');
      }
    },
    size() {
      const pageBytes = pragma('page_size');
      const freeBytes = pragma('freelist_count') * pageBytes;
      return { usedBytes: pragma('page_count') * pageBytes - freeBytes, freeBytes };
    },
    close: () => sqlite.close(),
  };
}

const newFileId = () => randomBytes(8).toString('hex');

/** @returns the id of the file */
function prepareSchema(sqlite: DatabaseSync): string {
  const known = sqlite.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'meta'").get()?.['n'];
  if (known === 0) {
    const id = newFileId();
    sqlite.exec(`BEGIN; ${SCHEMA} INSERT INTO meta VALUES(${VERSION}, '${id}'); COMMIT;`);
    return id;
  }
  // Reads a page of each table, so that most damage shows now and not in the middle of the day.
  const version = sqlite.prepare('SELECT version FROM meta').get()?.['version'];
  if (version === VERSION_WITH_TICKS)
    sqlite.exec(
      `BEGIN; DROP TABLE tick; ALTER TABLE meta ADD COLUMN id TEXT; UPDATE meta SET version = ${VERSION}, id = '${newFileId()}'; COMMIT;`,
    );
  else if (version !== VERSION) throw new UnknownVersion(String(version));
  for (const look of [
    'SELECT min(rowid), max(rowid) FROM owner',
    'SELECT min(rowid), max(rowid) FROM metric',
    'SELECT min(rowid), max(rowid) FROM series',
    'SELECT min(rowid), max(rowid) FROM held',
    'SELECT min(rowid), max(rowid) FROM chunk',
    'SELECT min(rowid), max(rowid) FROM rollup',
  ])
    sqlite.prepare(look).get();
  return String(sqlite.prepare('SELECT id FROM meta').get()?.['id']);
}

/** A file that a newer version of this program wrote. */
class UnknownVersion extends Error {
  constructor(version: string) {
    super(`the history is of version ${version}, this program knows ${VERSION}`);
  }
}

/** Puts a file aside that cannot be read, with its log; what was put aside before is removed. Answers the new name. */
export function putAside(path: string): string {
  const aside = `${path}.bad`;
  for (const suffix of ['-wal', '-shm']) rmSync(`${aside}${suffix}`, { force: true });
  for (const suffix of ['', '-wal', '-shm'])
    if (existsSync(`${path}${suffix}`)) renameSync(`${path}${suffix}`, `${aside}${suffix}`);
  return aside;
}

/** Opens the file; one that is damaged or of another version is put aside.
 *  @returns `aside` with the name of what was put there, or null */
export function openOrBeginAnew(path: string): { readonly file: MetricsFile; readonly aside: string | null } {
  try {
    return { file: openMetricsFile(path), aside: null };
  } catch (error) {
    if (!isDamagedFile(error) && !(error instanceof UnknownVersion)) throw error;
    const aside = putAside(path);
    return { file: openMetricsFile(path), aside };
  }
}
