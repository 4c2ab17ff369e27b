import assert from 'node:assert/strict';
import { chmod, chown, mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig, type StateFolders } from './config.ts';
import { prepareStateFolders } from './state-folders.ts';

async function inState(work: (state: StateFolders, outside: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-state-'));
  try {
    const { state } = await loadConfig({ HV_STATE_DIR: join(dir, 'state') });
    await mkdir(join(dir, 'outside'));
    await work(state, join(dir, 'outside'));
  } finally {
    await rm(dir, { recursive: true });
  }
}

const FOLDERS = ['ca', 'disks', 'images', 'quarantine', 'scratch', 'trash', 'nvram', 'serial'];

test('missing folders are made, and a second start takes them as they are', () =>
  inState(async (state) => {
    await prepareStateFolders(state);
    await prepareStateFolders(state);
    assert.equal((await stat(state.disks)).mode & 0o777, 0o711);
    assert.equal((await stat(state.trash)).mode & 0o777, 0o700);
  }));

for (const name of FOLDERS)
  test(`${name}/ as a link, to a folder or to nothing, is refused by name with the mend`, () =>
    inState(async (state, outside) => {
      await prepareStateFolders(state);
      const folder = join(state.root, name);
      for (const target of [outside, join(outside, 'nothing')]) {
        await rm(folder, { recursive: true, force: true });
        await symlink(target, folder);
        await assert.rejects(
          prepareStateFolders(state),
          ({ message }: Error) => message.startsWith(`${folder} is a symbolic link`) && /real folder/.test(message),
        );
      }
    }));

test('a folder that others may write to, of another user, or that is a file is refused with the mend', () =>
  inState(async (state) => {
    await prepareStateFolders(state);
    await chmod(state.trash, 0o770);
    await assert.rejects(prepareStateFolders(state), /trash can be written by others\. .* chmod go-w/);
    await chmod(state.trash, 0o700);
    if (process.getuid?.() === 0) {
      await chown(state.disks, 1234, 0);
      await assert.rejects(prepareStateFolders(state), /disks belongs to another user \(1234\)\. .* chown 0 /);
      await chown(state.disks, 0, 0);
    }
    await rm(state.images, { recursive: true });
    await writeFile(state.images, '');
    await assert.rejects(prepareStateFolders(state), /images is not a folder/);
  }));

test('the state folder itself may be a link, but not to nothing', () =>
  inState(async (state, outside) => {
    await prepareStateFolders(state);
    await rename(state.root, join(outside, 'moved'));
    await symlink(join(outside, 'moved'), state.root);
    await prepareStateFolders(state);
    await rm(state.root);
    await symlink(join(outside, 'nothing'), state.root);
    await assert.rejects(prepareStateFolders(state), /is not a folder, nor a link to one/);
  }));
