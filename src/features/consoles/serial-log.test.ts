import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { readSerialLog } from './serial-log.ts';

async function logPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-serial-'));
  t.after(() => rm(folder, { recursive: true }));
  return join(folder, 'web1.log');
}

test('gives the newest bytes, across a turn-over of the file', async (t) => {
  const path = await logPath(t);
  assert.equal(await readSerialLog(path, 10), null);
  await writeFile(path, 'abcdefghijkl');
  assert.equal((await readSerialLog(path, 10))?.bytes.toString(), 'cdefghijkl');
  await rename(path, `${path}.0`);
  await writeFile(path, 'mno');
  assert.equal((await readSerialLog(path, 10))?.bytes.toString(), 'fghijklmno');
  assert.equal((await readSerialLog(path, 2))?.bytes.toString(), 'no');
});

test('goes on after a mark: same file, turned over, and made anew', async (t) => {
  const path = await logPath(t);
  await writeFile(path, 'first ');
  const one = await readSerialLog(path, 100);
  assert.ok(one);
  assert.equal((await readSerialLog(path, 100, one.mark))?.bytes.toString(), '');
  await appendFile(path, 'second ');
  const two = await readSerialLog(path, 100, one.mark);
  assert.ok(two);
  assert.equal(two.bytes.toString(), 'second ');
  await appendFile(path, 'third ');
  await rename(path, `${path}.0`);
  await writeFile(path, 'fourth ');
  assert.equal((await readSerialLog(path, 100, two.mark))?.bytes.toString(), 'third fourth ');
  await rm(`${path}.0`);
  assert.equal((await readSerialLog(path, 100, two.mark))?.bytes.toString(), 'fourth ');
});

test('a link in place of the log is not followed', async (t) => {
  const path = await logPath(t);
  await symlink('/etc/passwd', path);
  assert.equal(await readSerialLog(path, 100), null);
});
