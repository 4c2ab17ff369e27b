import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { asideName, commitSwap, doneSwap, finishSwap, forgetSwap, stagingFolder } from './state-swap.ts';

const ID = '0123456789abcdefghjkmnpqrs';

async function inFolder(work: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'hyper-swap-'));
  try {
    await mkdir(join(root, 'ca'));
    for (const path of ['state.db', 'state.db-wal', 'ca/ca.key']) await writeFile(join(root, path), `old ${path}`);
    const staging = stagingFolder(root, ID);
    await mkdir(join(staging, 'ca'), { recursive: true });
    await mkdir(join(staging, 'keys'));
    for (const path of PLACE) await writeFile(join(staging, path), `new ${path}`);
    await work(root);
  } finally {
    await rm(root, { recursive: true });
  }
}

const PLACE = ['ca/ca.key', 'keys/state.key', 'state.db'];
const swap = { id: ID, place: PLACE, away: ['state.db-wal', 'state.db-shm'], about: { by: 'root' } };

test('new files take the place of old ones, which are kept, and it is told once', () =>
  inFolder(async (root) => {
    await commitSwap(root, swap);
    assert.equal(await readFile(join(root, 'state.db'), 'utf8'), 'old state.db', 'nothing moves before the start');
    await finishSwap(root, null);
    for (const path of PLACE) assert.equal(await readFile(join(root, path), 'utf8'), `new ${path}`);
    const aside = join(root, asideName(ID));
    for (const path of ['state.db', 'state.db-wal', 'ca/ca.key'])
      assert.equal(await readFile(join(aside, path), 'utf8'), `old ${path}`);
    assert.deepEqual((await readdir(root)).sort(), [asideName(ID), 'ca', 'keys', 'restored.json', 'state.db'].sort());
    assert.deepEqual((await doneSwap(root))?.about, { by: 'root' });
    // The daemon writes to what is new; a second start leaves it alone.
    await writeFile(join(root, 'state.db-wal'), 'of the new one');
    await finishSwap(root, null);
    assert.equal(await readFile(join(root, 'state.db-wal'), 'utf8'), 'of the new one');
    await forgetSwap(root);
    assert.equal(await doneSwap(root), null);
  }));

test('what was staged and never made certain is removed, and the old state stays', () =>
  inFolder(async (root) => {
    await finishSwap(root, null);
    assert.deepEqual((await readdir(root)).sort(), ['ca', 'state.db', 'state.db-wal']);
    assert.equal(await readFile(join(root, 'ca/ca.key'), 'utf8'), 'old ca/ca.key');
    assert.equal(await doneSwap(root), null);
  }));

test('a path that leads out of the state folder is refused before anything is certain', () =>
  inFolder(async (root) => {
    for (const path of ['../x', '/etc/passwd', 'a/../../b', '.', 'a//b'])
      await assert.rejects(commitSwap(root, { ...swap, away: [path] }), path);
    await finishSwap(root, null);
    assert.equal(await readFile(join(root, 'state.db'), 'utf8'), 'old state.db');
  }));
