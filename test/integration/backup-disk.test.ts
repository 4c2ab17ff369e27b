/** One disk of a restore point put into a VM that is there: every byte of it, and nothing of the VM's own is touched. */

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { newUuid } from '#kernel/ids.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let donor: Vm;
let pointId: string;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  daemon = await startDaemon({ libvirtd });
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }));
  const { id: imageId } = await daemon.admin('GET /images/{id}', { params: { id: 'hello' } });
  donor = await create('donor', [{ imageId }]);
  const { result } = await daemon.finish(
    await daemon.admin('POST /vms/{id}/backup', { params: { id: donor.id }, body: {} }),
  );
  ({ pointId } = JSON.parse(JSON.stringify(result)));
});

after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

async function create(name: string, disks: NonNullable<VmCreateInput['disks']>): Promise<Vm> {
  const body: VmCreateInput = {
    name,
    memoryBytes: 192 * MIB,
    vcpus: 1,
    accel: 'tcg',
    graphics: false,
    firmware: 'bios',
    nics: [],
    disks,
    start: false,
  };
  await daemon.finish(await daemon.admin('POST /vms', { body }));
  return daemon.admin('GET /vms/{id}', { params: { id: name } });
}

const disksOf = ({ disks }: Vm) => disks.filter(({ device }) => device === 'disk');

const fileOf = (vm: Vm, target: string) =>
  join(daemon.stateDir, 'disks', vm.disks.find((disk) => disk.target === target)?.source ?? '');

test('a disk comes into another VM as it was, beside the one that it has', { skip }, async () => {
  const rescue = await create('rescue', [{ sizeBytes: 8 * MIB }]);
  const before = fileOf(rescue, 'vda');
  const operation = await daemon.finish(
    await daemon.admin('POST /restore-points/{id}/disk', {
      params: { id: pointId },
      body: { target: 'vda', vm: rescue.id },
    }),
  );
  assert.deepEqual(operation.result, { vmId: rescue.id, name: 'rescue', target: 'vdb' });
  const after = await daemon.admin('GET /vms/{id}', { params: { id: rescue.id } });
  assert.deepEqual(
    disksOf(after).map(({ target, sizeBytes }) => [target, sizeBytes]),
    [
      ['vda', 8 * MIB],
      ['vdb', 64 * MIB],
    ],
  );
  assert.equal(fileOf(after, 'vda'), before);
  await runChecked(['qemu-img', 'compare', '-f', 'qcow2', '-F', 'qcow2', fileOf(donor, 'vda'), fileOf(after, 'vdb')], {
    timeoutMs: 60_000,
  });
  // By the command line too, once more.
  const { code, stderr } = await hvOn(daemon, ['backup', 'add-disk', 'donor', 'vda', 'rescue']);
  assert.equal(code, 0, stderr);
  assert.equal(disksOf(await daemon.admin('GET /vms/{id}', { params: { id: rescue.id } })).length, 3);
});

test('what is not there is told, and leaves nothing', { skip }, async () => {
  const files = async () => (await readdir(join(daemon.stateDir, 'disks'))).sort();
  const there = await files();
  const ask = (target: string, vm: string) =>
    daemon.admin('POST /restore-points/{id}/disk', { params: { id: pointId }, body: { target, vm } }).then(
      () => 'begun',
      (error: unknown) => JSON.stringify(error),
    );
  assert.match(await ask('vdz', donor.id), /restore_point_without_disk/);
  assert.match(await ask('vda', newUuid()), /not_found/);
  assert.deepEqual(await files(), there);
});
