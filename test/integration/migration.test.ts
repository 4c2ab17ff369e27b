/** Another program moves a running VM to another host and back, between two real libvirtds: nobody is told that it is down, nothing of it
 *  gets into the trash, and it stands in the records and on graphs. */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIB } from '#kernel/units.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

describe('a VM that another program moves between hosts', { skip }, () => {
  let here: PrivateLibvirtd;
  let there: PrivateLibvirtd;
  let folder: string;
  let daemon: TestDaemon;
  let vmId: string;
  let disk: string;

  const migrate = (from: PrivateLibvirtd, to: PrivateLibvirtd, ...flags: readonly string[]) =>
    from.virsh(
      'migrate',
      ...['--live', '--unsafe', '--persistent', ...flags],
      ...['--migrateuri', `unix://${join(folder, 'migration.sock')}`],
      'wanderer',
      `qemu+unix:///system?socket=${to.socketPath}`,
    );
  const startHere = () => startDaemon({ stateDir: join(folder, 'state'), env: { HV_LIBVIRT_URI: here.uri } });
  const vm = () => daemon.admin('GET /vms/{id}', { params: { id: vmId } }).catch(() => null);
  const moves = async () =>
    (await daemon.admin('GET /operations/timeline', { query: { vm: vmId } })).items.filter(
      ({ kind }) => kind === 'vm.migrated',
    );
  const charged = async () => {
    const { quotas } = await daemon.admin('GET /projects/{id}/quotas', { params: { id: 'default' } });
    return quotas.find(({ resource }) => resource === 'vcpus')?.used;
  };
  const until = async (what: string, condition: () => Promise<boolean>) => {
    const end = performance.now() + 60_000;
    while (!(await condition())) {
      assert.ok(performance.now() < end, what);
      await sleep(200);
    }
  };

  before(async () => {
    [here, there] = await Promise.all([
      startPrivateLibvirtd({ hostName: 'here' }),
      startPrivateLibvirtd({ hostName: 'there' }),
    ]);
    folder = await mkdtemp(join(tmpdir(), 'hv-moves-'));
    // Its disks lie below the system's temporary folder, which both hosts have: storage that they share.
    daemon = await startHere();
    const created = await daemon.finish(
      await daemon.admin('POST /vms', {
        body: {
          name: 'wanderer',
          vcpus: 1,
          accel: 'tcg',
          firmware: 'bios',
          graphics: false,
          nics: [],
          tags: ['far'],
          memoryBytes: 64 * MIB,
          disks: [{ sizeBytes: 8 * MIB }],
        },
      }),
    );
    vmId = created.objectId ?? assert.fail('no VM');
    disk = /(\/\S+)\s*$/.exec((await here.virsh('domblklist', 'wanderer')).trim())?.[1] ?? assert.fail('no disk');
  });
  after(async () => {
    await daemon?.close();
    await Promise.all([here?.close(), there?.close()]);
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('one that leaves its definition behind is off here, as somebody wanted', { timeout: 120_000 }, async () => {
    await migrate(here, there);
    await until('it is off', async () => (await vm())?.state === 'off');
    const left = await vm();
    assert.deepEqual([left?.stateReason, left?.desired], ['migrated', 'off']);
    await until('it is noted', async () => (await moves()).at(0)?.state === 'done');
    assert.deepEqual(
      (await moves()).map(({ title, actor, project }) => [title, actor, project]),
      [['wanderer went to another host', 'another program', 'default']],
    );
    const params = { id: vmId };
    await assert.rejects(daemon.admin('POST /vms/{id}/start', { params }), /would destroy its disks/);
    await assert.rejects(daemon.admin('POST /vms/{id}/backup', { params, body: {} }), /its disks are in use/);
  });

  test('what it left here is not started after a way through the trash either', { timeout: 120_000 }, async () => {
    const params = { id: vmId };
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params, query: {} }));
    const [item] = (await daemon.admin('GET /trash')).items;
    assert.ok(existsSync(disk), 'the guest uses it there');
    await daemon.stop();
    daemon = await startHere();
    await daemon.finish(
      await daemon.admin('POST /trash/{id}/restore', { params: { id: item?.id ?? assert.fail('not in the trash') } }),
    );
    await assert.rejects(daemon.admin('POST /vms/{id}/start', { params }), /would destroy its disks/);
  });

  test('one that comes back is wanted here again', { timeout: 120_000 }, async () => {
    await migrate(there, here, '--undefinesource');
    await until('it runs', async () => (await vm())?.state === 'running');
    await until('it is noted', async () => (await moves()).length === 2);
    assert.equal((await moves())[0]?.title, 'wanderer came from another host');
    await until('it is wanted', async () => (await vm())?.desired === 'running');
  });

  test('one that leaves nothing behind is not in the trash, and its disk stays', { timeout: 120_000 }, async () => {
    await migrate(here, there, '--undefinesource');
    await until('it is gone', async () => (await vm()) === null);
    // Longer than one that was undefined waits until it is in the trash.
    await sleep(12_000);
    assert.deepEqual((await daemon.admin('GET /trash')).items, []);
    await until('nothing is charged for it', async () => (await charged()) === 0);
    assert.ok(existsSync(disk));
    assert.match(await there.virsh('domstate', 'wanderer'), /running/);
    const records = (await daemon.admin('GET /audit', { query: { objectId: vmId, limit: 100 } })).items;
    assert.equal(records.filter(({ action }) => action.startsWith('libvirt migrated')).length, 6);
  });

  test('home again it is as it was', { timeout: 120_000 }, async () => {
    await migrate(there, here, '--undefinesource');
    await until('it runs', async () => (await vm())?.state === 'running');
    const back = await vm();
    assert.deepEqual([back?.managed, back?.tags, back?.desired], [true, ['far'], 'running']);
    await until('it is charged again', async () => (await charged()) === 1);
  });
});
