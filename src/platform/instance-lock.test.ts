/** Tests that one daemon, and nobody else, can hold a state folder. */

import assert from 'node:assert/strict';
import { chmod, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { lockStateFolder } from './instance-lock.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-lock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test('a second daemon is told which process holds the state folder, and a later one gets it', () => {
  const release = lockStateFolder(folder);
  assert.throws(() => lockStateFolder(folder), new RegExp(`process ${process.pid}.*HV_STATE_DIR`));
  release();
  lockStateFolder(folder)();
});

test('nobody else can open the lock, so no other user can keep the daemon from starting', async () => {
  // A file of an earlier version, open to all.
  await writeFile(join(folder, 'lock.db'), '');
  await chmod(join(folder, 'lock.db'), 0o644);
  const release = lockStateFolder(folder);
  assert.equal((await stat(join(folder, 'lock.db'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(folder, 'owner.json'))).mode & 0o777, 0o600);
  release();
});
