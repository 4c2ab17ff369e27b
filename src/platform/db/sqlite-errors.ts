/** SQLite's failures that a user can mend, in our words. */

import { AppError, hasErrno } from '#kernel/errors.ts';

/** Primary result codes: read-only, I/O error, full, cannot open (https://sqlite.org/rescode.html). */
const NOT_WRITABLE = [8, 10, 13, 14];

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
