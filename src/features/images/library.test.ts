import assert from 'node:assert/strict';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import { imageErrors } from '#contract/images.ts';
import type { VmUser } from '#features/inventory/index.ts';
import { registerErrors } from '#kernel/errors.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { openDatabase } from '#platform/db/database.ts';
import { runChecked } from '#platform/process.ts';
import { createBackingUsers, type DiskOwner } from './backing-users.ts';
import { createImageFiles } from './image-files.ts';
import { assertUnused } from './kinds.ts';
import { createImageLibrary } from './library.ts';
import { imageMigrations } from './migrations.ts';
import { createImageStore, type ImageRow } from './store.ts';

registerErrors(imageErrors);

const row: ImageRow = {
  id: 'img-1',
  name: 'alpine',
  kind: 'iso',
  format: 'iso',
  file: 'img-1.iso',
  size_bytes: 5,
  virtual_size_bytes: 5,
  sha256: '0'.repeat(64),
  source: 'upload',
  catalogue_id: null,
  verified: 'none',
  label: null,
  default_user: null,
  created_at: '2026-01-01T00:00:00.000Z',
  project: 'default',
  shared: 1,
};

async function stageOf(t: TestContext) {
  const root = await mkdtemp(join(tmpdir(), 'hv-library-'));
  const db = openDatabase(join(root, 'state.db'));
  t.after(async () => {
    await db.close();
    await rm(root, { recursive: true });
  });
  db.migrate('images', imageMigrations);
  const files = createImageFiles({
    root,
    ca: root,
    images: root,
    disks: root,
    scratch: root,
    trash: root,
    quarantine: root,
  });
  const store = createImageStore(db, { hold: async () => undefined });
  await store.addImage(row);
  const users: VmUser[] = [];
  const told: string[][] = [];
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  events.on('image.changed', ({ usedBy }) => told.push(usedBy.map(({ name }) => name)));
  const owners: DiskOwner[] = [];
  const backing = createBackingUsers(() => owners);
  const libvirt = { isSilent: false };
  const library = createImageLibrary({
    areUsersKnown: () => !libvirt.isSilent,
    store,
    files,
    events,
    backing,
    fileUsers: (path) => (path === join(root, row.file) ? users : []),
  });
  return { library, libvirt, users, told, owners, backing, root, path: join(root, row.file) };
}

test('an image can be used by id while its file is there and whole', async (t) => {
  const { library, path } = await stageOf(t);
  assert.equal(library.get('img-1'), null);
  assert.equal(library.view('img-1').state, 'missing');
  await writeFile(path, 'short'.slice(0, 3));
  assert.equal(library.get('img-1'), null);
  await writeFile(path, 'whole');
  assert.equal(library.get('img-1')?.path, path);
  assert.equal(library.get('alpine'), null, 'a name says nothing of the project');
  assert.deepEqual(library.describeFile(path), { imageId: 'img-1', name: 'alpine' });
  assert.equal(library.describeFile('/etc/passwd'), null);
});

test('users are the VMs that have the file and those in the trash, each once', async (t) => {
  const { library, users } = await stageOf(t);
  users.push({ vmId: 'vm-1', name: 'web1', project: 'default' });
  library.registerUsage(() => [
    { imageId: 'img-1', vmId: 'vm-1', name: 'web1', project: 'default', place: 'trash' },
    { imageId: 'img-1', vmId: 'vm-2', name: 'web2', project: 'default', place: 'trash' },
    { imageId: 'img-9', vmId: 'vm-3', name: 'web3', project: 'default', place: 'trash' },
  ]);
  assert.deepEqual(
    library.usersOf(row).map(({ name }) => name),
    ['web1', 'web2'],
  );
  assert.throws(() => assertUnused(row, library.usersOf(row)), {
    code: 'image_in_use',
    message: 'alpine is used by web1, web2 (in the trash).',
  });
  assert.doesNotThrow(() => assertUnused(row, []));
  const moved = { vmId: 'vm-5', name: 'web5', project: 'default', place: 'elsewhere' } as const;
  assert.throws(() => assertUnused(row, [moved]), { message: 'alpine is used by web5 (on another host).' });
  const far = { vmId: 'vm-4', name: 'secret', project: 'prj-other', place: 'host' } as const;
  assert.throws(() => assertUnused(row, [...library.usersOf(row), far]), {
    code: 'image_in_use',
    message: 'alpine is used by web1, web2 (in the trash), VMs of other projects.',
  });
});

test('while libvirt does not tell who uses an image, nobody says that it is unused', async (t) => {
  const { library, libvirt } = await stageOf(t);
  libvirt.isSilent = true;
  await assert.rejects(library.lookForUsers(row), { code: 'unavailable' });
  libvirt.isSilent = false;
  assert.deepEqual(await library.lookForUsers(row), []);
});

test('clients are told when the users change, and only then', async (t) => {
  const { library, users, told } = await stageOf(t);
  library.announceUsers();
  users.push({ vmId: 'vm-1', name: 'web1', project: 'default' });
  library.announceUsers();
  library.announceUsers();
  users.pop();
  library.announceUsers();
  assert.deepEqual(told, [['web1'], []]);
});

test('a VM whose disk builds upon the image is a user, at the latest when somebody is about to delete it', async (t) => {
  const { library, owners, backing, root, path } = await stageOf(t);
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '1M'], { timeoutMs: 20_000 });
  const overlay = join(root, 'overlay.qcow2');
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', path, overlay], {
    timeoutMs: 20_000,
  });
  const link = join(root, 'link.iso');
  await symlink(path, link);
  const owner = (name: string, file: string, isQcow2: boolean, place: DiskOwner['place'] = 'host'): DiskOwner => ({
    vmId: `vm-${name}`,
    name,
    project: 'default',
    place,
    key: file,
    disks: [{ path: file, namedFrom: file, isQcow2 }],
  });
  owners.push(
    owner('over', overlay, true),
    owner('gone', overlay, true, 'trash'),
    owner('linked', link, false),
    owner('raw', overlay, false),
    owner('other', join(root, 'absent'), true),
  );
  const names = (users: readonly { name: string }[]) => users.map(({ name }) => name);
  assert.deepEqual(names(library.usersOf(row)), []);
  assert.deepEqual(names(await library.lookForUsers(row)), ['over', 'gone', 'linked']);
  await backing.refresh();
  assert.deepEqual(names(library.usersOf(row)), ['over', 'gone']);
  // A disk that changed without its definition is seen by the look only; one that is gone is forgotten.
  await rm(overlay);
  assert.deepEqual(names(await library.lookForUsers(row)), ['linked']);
  owners.splice(0, 1);
  await backing.refresh();
  assert.deepEqual(names(library.usersOf(row)), ['gone']);
});
