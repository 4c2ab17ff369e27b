import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeSerialLogOurs } from './serial-log-file.ts';

async function inFolder(work: (log: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-serial-'));
  try {
    await work(join(folder, 'vm.log'), folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

const me = process.getuid?.() ?? 0;
const somebodyElse = me + 1;

test('a missing log is made for us alone', () =>
  inFolder(async (log) => {
    await makeSerialLogOurs(log, somebodyElse);
    assert.equal((await stat(log)).mode & 0o777, 0o600);
  }));

test('one of another user is replaced, one behind a link too, and what the link leads to stays', () =>
  inFolder(async (log, folder) => {
    await writeFile(log, 'old');
    await makeSerialLogOurs(log, somebodyElse);
    assert.equal(await readFile(log, 'utf8'), '');
    const other = join(folder, 'other');
    await writeFile(other, 'precious');
    await rm(log);
    await symlink(other, log);
    await makeSerialLogOurs(log, somebodyElse);
    assert.equal(await readFile(other, 'utf8'), 'precious');
  }));

test('our own is kept, and root leaves all to virtlogd', () =>
  inFolder(async (log) => {
    await makeSerialLogOurs(log, 0);
    await assert.rejects(stat(log));
    await writeFile(log, 'boot');
    await makeSerialLogOurs(log, me);
    assert.equal(await readFile(log, 'utf8'), 'boot');
  }));
