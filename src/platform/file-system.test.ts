import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type FileSystem, fileSystemOf } from './file-system.ts';

test('it says what the system says', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-file-system-'));
  t.after(() => rm(folder, { recursive: true }));
  const said = await fileSystemOf(folder);
  assert.equal(said.device, (await stat(folder)).dev);
  assert.equal(said.isFile, false);
  const { blocks, bsize } = await statfs(folder);
  assert.equal(said.sizeBytes, blocks * bsize);
  assert.ok(said.availableBytes <= said.freeBytes && said.freeBytes <= said.sizeBytes);
  await assert.rejects(fileSystemOf(join(folder, 'nothing')), { code: 'ENOENT' });
});

test('one that hangs is asked once, and anew when it answered', async () => {
  const { promise, resolve } = Promise.withResolvers<FileSystem>();
  const answer: FileSystem = { device: 1, isFile: false, sizeBytes: 3, freeBytes: 2, availableBytes: 1 };
  let asked = 0;
  const hanging = () => {
    asked += 1;
    return promise;
  };
  const all = Array.from({ length: 100 }, () => fileSystemOf('/hangs', hanging));
  assert.equal(asked, 1);
  assert.deepEqual(await fileSystemOf('/answers', async () => answer), answer, 'others are asked meanwhile');
  resolve(answer);
  await Promise.all(all);
  await fileSystemOf('/hangs', hanging);
  assert.equal(asked, 2);
});
