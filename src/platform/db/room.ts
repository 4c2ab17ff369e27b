/** Room inside the database's own files, so that the journal, the audit log and sign-in can still be written for a while when guests have
 *  filled the file system: enough to purge, to delete and to stop what has to go. Not for file systems that write each block anew
 *  (btrfs, ZFS): there a full one stays full. */

import type { DatabaseSync } from 'node:sqlite';
import { AppError } from '#kernel/errors.ts';
import { asAppError } from './sqlite-errors.ts';

const PIECE_BYTES = 4 * 2 ** 20;
/** Free pages in the database file. */
const FREE_BYTES = 8 * 2 ** 20;

/** Writes pages and frees them again: the file keeps their blocks, and the log keeps its length until the database is closed.
 *  On a disk that is full already nothing happens. */
export function keepRoom(sqlite: DatabaseSync): void {
  try {
    const freeBytes = numberOf(sqlite, 'freelist_count') * numberOf(sqlite, 'page_size');
    const pieces = Math.max(1, Math.ceil((FREE_BYTES - freeBytes) / PIECE_BYTES));
    sqlite.exec('CREATE TABLE IF NOT EXISTS room(bytes BLOB NOT NULL) STRICT');
    const insert = sqlite.prepare('INSERT INTO room VALUES(zeroblob(?))');
    for (let piece = 0; piece < pieces; piece += 1) insert.run(PIECE_BYTES);
    // Only what was copied from the log into the file has blocks there.
    sqlite.exec('PRAGMA wal_checkpoint; DELETE FROM room; PRAGMA wal_checkpoint');
  } catch (error) {
    if (!(asAppError(error) instanceof AppError)) throw error;
  }
}

function numberOf(sqlite: DatabaseSync, pragma: 'freelist_count' | 'page_size'): number {
  return Number(sqlite.prepare(`PRAGMA ${pragma}`).get()?.[pragma]);
}
