/** SQLite's failures that a user can mend, in our words. */

import { AppError, hasErrno } from '#kernel/errors.ts';

/** Primary result codes: read-only, I/O error, full, cannot open (https://sqlite.org/rescode.html). */
const NOT_WRITABLE = [8, 10, 13, 14];

/** Extended result codes of a second row where there may be one. */
const TWICE = [2067, 1555];

/** `conflict` when two requests wanted the same at the same moment and the other one was first; everything else as it is. */
export function asConflict(error: unknown): unknown {
  const isTwice =
    hasErrno(error, 'ERR_SQLITE_ERROR') &&
    error instanceof Error &&
    'errcode' in error &&
    typeof error.errcode === 'number' &&
    TWICE.includes(error.errcode);
  return isTwice
    ? new AppError('conflict', { detail: 'Somebody made the same thing at the same moment.', cause: error })
    : error;
}

/** `unavailable` when the file cannot be written; everything else as it is. */
export function asAppError(error: unknown): unknown {
  if (error instanceof AppError || !hasErrno(error, 'ERR_SQLITE_ERROR')) return error;
  const code =
    error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode & 0xff : 0;
  if (!NOT_WRITABLE.includes(code)) return error;
  return new AppError('unavailable', {
    detail: 'The state database cannot be written, so nothing was changed.',
    hint: 'Free space on the file system of the state folder and check that it is writable.',
    cause: error,
  });
}
