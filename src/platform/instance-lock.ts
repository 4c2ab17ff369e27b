/** One daemon per state folder: an exclusive SQLite lock, which the kernel releases even after `kill -9`. */

import { chmodSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { hasErrno } from '#kernel/errors.ts';

/** Takes the lock or tells who holds it.
 *  @returns the function that releases it
 *  @throws Error naming the process that holds it */
export function lockStateFolder(stateDir: string): () => void {
  const ownerFile = join(stateDir, 'owner.json');
  const path = join(stateDir, 'lock.db');
  // Ours alone: whoever can open it for reading can hold a lock on it too, and keep the daemon from starting.
  closeSync(openSync(path, 'a', 0o600));
  chmodSync(path, 0o600);
  const lock = new DatabaseSync(path);
  try {
    lock.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE;');
  } catch (error) {
    lock.close();
    throw new Error(
      `Another daemon (${ownerOf(ownerFile)}) already uses the state folder ${stateDir}. Stop it, or give this one its own HV_STATE_DIR.`,
      { cause: error },
    );
  }
  writeFileSync(ownerFile, JSON.stringify({ pid: process.pid, startedAt: new Date().toISOString() }), { mode: 0o600 });
  return () => lock.close();
}

function ownerOf(file: string): string {
  try {
    const owner: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof owner === 'object' && owner !== null && 'pid' in owner
      ? `process ${String(owner.pid)}`
      : 'unknown process';
  } catch (error) {
    if (hasErrno(error, 'ENOENT') || error instanceof SyntaxError) return 'unknown process';
    throw error;
  }
}
