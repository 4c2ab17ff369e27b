/** The archive as an independent reader sees it: busybox's cpio. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, readlink, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runChecked } from '../process.ts';
import { packCpio } from './cpio.ts';

test('another program unpacks files, folders and links with their modes', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hv-cpio-'));
  try {
    const archive = packCpio([
      { kind: 'file', path: 'bin/tool', content: Buffer.from('12345'), mode: 0o755 },
      { kind: 'file', path: 'etc/deep/er/empty', content: new Uint8Array() },
      { kind: 'folder', path: 'etc/deep' },
      { kind: 'link', path: 'init', target: 'bin/tool' },
      { kind: 'folder', path: 'secret', mode: 0o700 },
    ]);
    await runChecked(['busybox', 'cpio', '-id'], { timeoutMs: 10_000, cwd: folder, stdin: archive });
    assert.equal(await readFile(join(folder, 'bin/tool'), 'utf8'), '12345');
    assert.equal((await stat(join(folder, 'bin/tool'))).mode & 0o777, 0o755);
    assert.equal((await stat(join(folder, 'etc/deep/er/empty'))).size, 0);
    assert.equal(await readlink(join(folder, 'init')), 'bin/tool');
    assert.equal((await stat(join(folder, 'secret'))).mode & 0o777, 0o700);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('the same entries give the same bytes', () => {
  const entries = [{ kind: 'file', path: 'a/b', content: Buffer.from('x') }] as const;
  assert.deepEqual(packCpio(entries), packCpio(entries));
});
