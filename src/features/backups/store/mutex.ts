/** A lock for moments in which nobody else may change who works in a repository or which points it has: SQLite's lock on a file, which
 *  the kernel releases even after `kill -9`. Long work is announced by leases instead. */

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { createQueue } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';

const SQLITE_BUSY = 5;
const RETRY_MS = 10;
/** What is done under the lock takes milliseconds. */
const LONGEST_WAIT_MS = 60_000;

/** Of this process, one after the other for each file: whoever closes a file lets go of all locks that his process has on it. */
const turns = new Map<string, ReturnType<typeof createQueue>>();

/** Runs `work` while nobody else, in this process or another, is in here for the same repository. Not to be called by `work`.
 *  @throws AppError repository_locked when another process keeps it for a minute */
export async function exclusively<Value>(locks: string, work: () => Promise<Value>): Promise<Value> {
  const path = join(locks, 'mutex.db');
  const inTurn = turns.get(path) ?? createQueue();
  turns.set(path, inTurn);
  return await inTurn(() => lockedFor(path, work));
}

async function lockedFor<Value>(path: string, work: () => Promise<Value>): Promise<Value> {
  await waitFor(path);
  const lock = new DatabaseSync(path);
  try {
    await begin(lock, path);
    return await work();
  } finally {
    lock.close();
  }
}

/** SQLite asks the file system in our only thread. A share whose server is gone lets whoever asks it wait, so another thread asks first:
 *  the server has to look at a file that is opened, and a frozen file system does not let it be made. */
async function waitFor(path: string): Promise<void> {
  const file = await open(path, 'a', 0o640);
  await file.close();
}

async function begin(lock: DatabaseSync, path: string): Promise<void> {
  const deadlineMs = performance.now() + LONGEST_WAIT_MS;
  for (;;) {
    try {
      // Nothing is ever written, not even a journal: a full file system must not stand in the way.
      lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
      return;
    } catch (error) {
      if (!isBusy(error)) throw error;
      if (performance.now() > deadlineMs)
        throw new AppError('repository_locked', {
          detail: 'Another process holds the short lock of the repository for more than a minute.',
          cause: error,
        });
    }
    await sleep(RETRY_MS * (0.5 + Math.random()));
    await waitFor(path);
  }
}

const isBusy = (error: unknown) =>
  error instanceof Error &&
  'errcode' in error &&
  typeof error.errcode === 'number' &&
  (error.errcode & 0xff) === SQLITE_BUSY;
