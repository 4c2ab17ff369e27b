/** Tests that a cloud-init seed is whole and never open to other users, not even while it is made. Needs xorriso. */

import assert from 'node:assert/strict';
import { watch } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run } from '#platform/process.ts';
import { makeSeed } from './seed.ts';

const DOCUMENTS = { userData: '#cloud-config\npassword: $6$hash\n', metaData: 'instance-id: x\n', networkConfig: null };

test('a seed holds its documents, and nothing of it can be read by others while it is made', async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'hv-seed-'));
  try {
    const target = join(scratch, 'seed.iso');
    const seen = new Set<string>();
    const watcher = watch(scratch, (_event, name) => seen.add(name ?? ''));
    await makeSeed(scratch, target, DOCUMENTS);
    await sleep(50);
    watcher.close();
    // The folder is ours alone (mkdtemp makes it so); the ISO comes out of it when its rights are set.
    assert.match([...seen].sort().join(' '), /^seed-\w{6} seed\.iso$/);
    assert.deepEqual(await readdir(scratch), ['seed.iso']);
    assert.equal((await stat(target)).mode & 0o777, 0o600);
    const listed = await run(['xorriso', '-indev', target, '-find', '/', '-type', 'f'], { timeoutMs: 30_000 });
    assert.match(listed.stdout, /'\/meta-data'\s+'\/user-data'/);
    assert.ok((await readFile(target)).includes(DOCUMENTS.userData));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
});
