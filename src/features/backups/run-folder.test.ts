import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareRunFolder } from './run-folder.ts';

test("QEMU's user passes through to the folder of a backup, also when hyperd was started with a mask that closes all", async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'hv-run-folder-'));
  const mask = process.umask(0o077);
  t.after(async () => {
    process.umask(mask);
    await rm(root, { recursive: true });
  });
  const runs = join(root, 'backup-runs');
  const path = join(runs, 'op-1');
  const scratchPath = (target: string) => join(path, `${target}.scratch`);
  await prepareRunFolder(runs, { path, socketPath: join(path, 'nbd'), scratchPath }, null);
  assert.equal((await stat(runs)).mode & 0o777, 0o711);
  assert.equal((await stat(path)).mode & 0o007, 0, 'nobody else enters the folder itself');
});
