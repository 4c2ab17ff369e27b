import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Operation } from '#contract/operations.ts';
import { newId } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { clearLeftRuns } from './left-runs.ts';
import { runFolders } from './names.ts';

const operation = (id: string, state: Operation['state']): Operation => ({
  id,
  kind: 'backup.run',
  title: 'Back up web1',
  state,
  actor: 'admin',
  objectType: 'vm',
  objectId: 'vm',
  objectName: 'web1',
  vmId: 'vm',
  project: 'default',
  steps: [],
  progress: null,
  canCancel: false,
  isDismissed: false,
  error: null,
  result: null,
  createdAt: '2026-01-01T00:00:00Z',
  finishedAt: null,
  requestId: null,
});

test('what nobody takes up again goes, with its job in QEMU; what is at work and what is of others stays', async () => {
  const root = await mkdtemp(join(tmpdir(), 'hv-left-'));
  try {
    const folders = runFolders({
      state: { root, ca: '', images: '', disks: '', scratch: '', trash: '', quarantine: '' },
    });
    const [open, over, lost] = [newId('op'), newId('op'), newId('op')];
    for (const id of [open, over, lost]) await mkdir(folders.of(id).path, { recursive: true });
    await writeFile(join(folders.root, `${over}.export`), '');
    await mkdir(join(folders.root, 'of-somebody-else'));
    const operations = new Map([
      [open, operation(open, 'running')],
      [over, operation(over, 'failed')],
    ]);
    const sockets = new Map([
      ['at-work', folders.of(open).socketPath],
      ['left', folders.of(lost).socketPath],
      ['foreign', '/elsewhere/nbd'],
    ]);
    const ended: string[] = [];
    await clearLeftRuns({
      folders,
      vmSide: {
        runningSocket: async (vmId) => sockets.get(vmId) ?? null,
        end: async (vmId) => void ended.push(vmId),
      },
      runningVms: () => ['at-work', 'left', 'foreign', 'idle'],
      operation: async (id) => operations.get(id) ?? null,
      log: silentLogger,
    });
    assert.deepEqual((await readdir(folders.root)).sort(), ['of-somebody-else', open].sort());
    assert.deepEqual(ended, ['left']);
  } finally {
    await rm(root, { recursive: true });
  }
});
