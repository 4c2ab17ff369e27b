/** Secrets that hyperd makes for itself and keeps in files of the state folder, where nobody else enters. */

import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';

/** The file's text; makes it and its folder when there is none. Another process that was first wins.
 *  @throws Error when the file is there and cannot be read: what was locked with it would be lost unseen */
export function keptSecret(path: string, make: () => string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
  // Not by the process id: in a container that is the same at each start, and a half that a crash left would stand in the way for ever.
  const half = `${path}.${randomBytes(6).toString('hex')}`;
  const file = openSync(half, 'wx', 0o600);
  try {
    writeSync(file, make());
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    linkSync(half, path);
  } catch (error) {
    if (!hasErrno(error, 'EEXIST')) throw error;
  } finally {
    rmSync(half, { force: true });
  }
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
  return readFileSync(path, 'utf8');
}
