/** The file system of the state folder is full, and then the database too: reads answer, changes are refused in clear words and leave
 *  nothing half-made, room can still be made through hyperd, and all is well again when there is space. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, statfs, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { ApiProblem } from '#contract/client.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let folder: string;

const spec = (name: string) => ({
  name,
  memoryBytes: 32 * MIB,
  firmware: 'bios' as const,
  accel: 'tcg' as const,
  graphics: false,
  disks: [{ sizeBytes: 4 * MIB }],
  nics: [],
  start: false,
});

before(async () => {
  if (skip !== false) return;
  folder = await mkdtemp(join(tmpdir(), 'hv-full-'));
  // Above the floor that stays free for VMs, so that they can be made at all.
  await runChecked(['mount', '-t', 'tmpfs', '-o', 'size=2200m,mode=711', 'tmpfs', folder], { timeoutMs: 10_000 });
  libvirtd = await startPrivateLibvirtd();
  daemon = await startDaemon({ libvirtd, stateDir: join(folder, 'state') });
  for (const name of ['kept', 'gone']) await daemon.finish(await daemon.admin('POST /vms', { body: spec(name) }));
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
  if (skip !== false) return;
  await runChecked(['umount', '--lazy', folder], { timeoutMs: 10_000 });
  await rm(folder, { recursive: true, maxRetries: 20, retryDelay: 100 });
});

async function refused(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof ApiProblem) return `${error.problem.status} ${error.problem.code}`;
    throw error;
  }
  return 'done';
}

const edit = (description: string) =>
  daemon.admin('PATCH /vms/{id}', { params: { id: 'kept' }, body: { description } });

test('a full disk, then a full database, then space again', { skip }, async (t) => {
  const filler = join(folder, 'filler');
  await runChecked(['sh', '-c', 'head -c 4G /dev/zero > "$1" || true', 'sh', filler], { timeoutMs: 60_000 });
  assert.equal((await statfs(folder)).bavail, 0);

  // New things are refused with the reason.
  assert.equal(await refused(daemon.admin('POST /vms', { body: spec('new') })), '507 no_space');
  const upload = { name: 'new', kind: 'iso' as const, sizeBytes: MIB };
  assert.equal(await refused(daemon.admin('POST /images/uploads', { body: upload })), '507 no_space');
  const before = await readdir(join(folder, 'state', 'disks'));

  // What makes room works: the journal has room of its own.
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'gone' } }));
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: 'gone' } }));
  assert.equal((await readdir(join(folder, 'state', 'disks'))).length, before.length - 1);

  // hyperd writes there too, now and then.
  const database = new DatabaseSync(join(folder, 'state', 'state.db'), { timeout: 10_000 });
  t.after(() => database.close());
  database.exec('CREATE TABLE ballast(bytes BLOB)');
  assert.throws(() => {
    for (;;) database.exec('INSERT INTO ballast VALUES(zeroblob(65536))');
  }, /full/);
  assert.throws(() => {
    for (;;) database.exec('INSERT INTO ballast VALUES(zeroblob(512))');
  }, /full/);

  // Now nothing can be recorded, so nothing is done; reads go on.
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await refused(edit(`round ${round}`)), '503 unavailable');
    assert.equal(await refused(daemon.admin('POST /vms/{id}/start', { params: { id: 'kept' } })), '503 unavailable');
    assert.equal(await refused(daemon.admin('POST /auth/links', { body: {} })), '503 audit_unavailable');
    assert.deepEqual(
      (await daemon.admin('GET /vms')).items.map(({ name, state, description }) => [name, state, description]),
      [['kept', 'off', null]],
    );
  }

  await truncate(filler, 0);
  await rm(filler);
  database.exec('DROP TABLE ballast');
  await daemon.finish(await edit('after'));
  await daemon.finish(await daemon.admin('POST /vms', { body: spec('later') }));
  const { items } = await daemon.admin('GET /vms');
  assert.deepEqual(
    items.map(({ name, description }) => [name, description]),
    [
      ['kept', 'after'],
      ['later', null],
    ],
  );
  const left = await readdir(join(folder, 'state', 'disks'));
  assert.equal(left.length, 2);
  assert.ok(left.every((name) => !name.endsWith('.part')));
  const { operations } = await daemon.admin('GET /system/status');
  assert.deepEqual([operations.open, operations.attention], [0, 0]);
});
