/** Backups of real guests (TCG) on a real libvirtd. The truth is what the disk of a paused guest holds, read by qemu-img; a restore point
 *  has to be equal to it in every byte. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { RestorePoint } from '#contract/backups.ts';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { openRepository } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { type GuestShell, guestShell } from '../support/guest-shell.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

const small = (name: string): VmCreateInput => ({
  name,
  memoryBytes: 192 * MIB,
  vcpus: 1,
  accel: 'tcg',
  graphics: false,
  firmware: 'bios',
  nics: [],
});

describe('backups', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;
  let folder: string;
  let imageId: string;

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    folder = await mkdtemp(join(libvirtd.dir, 'out-'));
    daemon = await startDaemon({ libvirtd });
    await daemon.finish(
      await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }),
    );
    imageId = (await daemon.admin('GET /images/{id}', { params: { id: 'hello' } })).id;
  });
  after(async () => {
    await daemon?.close();
    await libvirtd?.close();
  });

  const show = (id: string): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id } });
  const create = async (body: VmCreateInput): Promise<Vm> => {
    await daemon.finish(await daemon.admin('POST /vms', { body }));
    return show(body.name);
  };
  const backUp = async (id: string, body: { full?: boolean; repository?: string } = {}): Promise<RestorePoint> => {
    const operation = await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id }, body }));
    const { pointId } = JSON.parse(JSON.stringify(operation.result));
    return daemon.admin('GET /restore-points/{id}', { params: { id: pointId } });
  };
  const modes = (point: RestorePoint) => Object.fromEntries(point.disks.map(({ target, mode }) => [target, mode]));
  const pathOf = async (vmId: string, target: string) =>
    join(daemon.stateDir, 'disks', (await show(vmId)).disks.find((disk) => disk.target === target)?.source ?? '');

  /** SHA-256 of a disk as the repository gives it. */
  const sumInRepository = async (point: RestorePoint, target: string): Promise<string> => {
    const repository = await openRepository(join(daemon.stateDir, 'repositories/default'));
    const disk = await repository.openDisk(point.id, target);
    const hash = createHash('sha256');
    try {
      for (let at = 0; at < disk.sizeBytes; at += MIB)
        hash.update(await disk.read(at, Math.min(MIB, disk.sizeBytes - at)));
    } finally {
      await disk.close();
    }
    return hash.digest('hex');
  };
  /** SHA-256 of a disk as QEMU's own tools read it. Nobody may write to it meanwhile. */
  const sumOfDisk = async (vmId: string, target: string, format: 'qcow2' | 'raw'): Promise<string> => {
    const out = join(folder, 'truth.raw');
    await runChecked(['qemu-img', 'convert', '-U', '-f', format, '-O', 'raw', await pathOf(vmId, target), out], {
      timeoutMs: 60_000,
    });
    const hash = createHash('sha256');
    const file = await open(out);
    try {
      for await (const part of file.createReadStream()) hash.update(part);
    } finally {
      await file.close();
      await rm(out);
    }
    return hash.digest('hex');
  };
  const sync = async (shell: GuestShell, script: string) => {
    const { code, text } = await shell.run(`${script} && sync`);
    assert.equal(code, 0, text);
  };

  test('a full backup and three of changes give back every byte of the moment, and clean data is not read', async () => {
    const { id } = await create({
      ...small('writer'),
      disks: [{ imageId }, { sizeBytes: 64 * MIB }, { sizeBytes: 8 * MIB, format: 'raw' }],
    });
    const shell = await guestShell(libvirtd, 'writer');
    const truths: { readonly point: RestorePoint; readonly sums: Readonly<Record<string, string>> }[] = [];
    for (let round = 0; round < 4; round += 1) {
      await sync(
        shell,
        `dd if=/dev/urandom of=/dev/vdb bs=4096 count=16 seek=$((${round} * 1000)) conv=notrunc,fsync 2>/dev/null &&
         dd if=/dev/urandom of=/dev/vdc bs=512 count=4 seek=$((${round} * 100)) conv=notrunc,fsync 2>/dev/null`,
      );
      await libvirtd.virsh('suspend', 'writer');
      const point = await backUp(id);
      truths.push({
        point,
        sums: {
          vda: await sumOfDisk(id, 'vda', 'qcow2'),
          vdb: await sumOfDisk(id, 'vdb', 'qcow2'),
          vdc: await sumOfDisk(id, 'vdc', 'raw'),
        },
      });
      await libvirtd.virsh('resume', 'writer');
    }
    assert.deepEqual(
      truths.map(({ point }) => modes(point)),
      [
        { vda: 'full', vdb: 'full', vdc: 'full' },
        ...Array.from({ length: 3 }, () => ({ vda: 'incremental', vdb: 'incremental', vdc: 'full' })),
      ],
    );
    for (const { point, sums } of truths)
      for (const [target, sum] of Object.entries(sums))
        assert.equal(await sumInRepository(point, target), sum, `${target} of ${point.pointInTime}`);
    for (const { point } of truths.slice(1)) {
      const readOfVdb = point.disks.find(({ target }) => target === 'vdb')?.readBytes ?? 0;
      assert.ok(readOfVdb <= 2 * MIB, `64 KiB changed in vdb, ${readOfVdb} bytes were read`);
    }
    const checkpoints = (await libvirtd.virsh('checkpoint-list', 'writer', '--name')).trim().split('\n');
    assert.equal(checkpoints.length, 1, 'only the mark of the last one is kept');
    const report = await daemon.finish(
      await daemon.admin('POST /repositories/{id}/check', { params: { id: 'default' }, body: { readData: true } }),
    );
    assert.deepEqual(
      { ...JSON.parse(JSON.stringify(report.result)), objects: 0, bytes: 0 },
      {
        points: 4,
        objects: 0,
        bytes: 0,
        problems: 0,
        damagedPoints: [],
        isComplete: true,
      },
    );
  });

  test('with the guest agent the file systems are still at the moment, and go on', async () => {
    const shell = await guestShell(libvirtd, 'writer');
    const point = await backUp('writer');
    assert.equal(point.consistency, 'agent', point.warnings.join(' '));
    console.log(`# count: file systems were frozen for ${point.frozenMs} ms`);
    assert.ok((point.frozenMs ?? 0) < 10_000);
    await sync(shell, 'echo after > /after');
  });

  test('a VM that is off is read without a step of its guest, and unchanged it is not read at all', async () => {
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: 'writer' } }));
    const { id } = await show('writer');
    const off = await backUp(id);
    assert.equal(off.consistency, 'offline');
    assert.equal(modes(off)['vda'], 'incremental');
    assert.equal((await show(id)).state, 'off');
    const again = await backUp(id);
    assert.deepEqual(modes(again), { vda: 'unchanged', vdb: 'unchanged', vdc: 'unchanged' });
    assert.equal(again.readBytes, 0);
    for (const [target, format] of [
      ['vda', 'qcow2'],
      ['vdb', 'qcow2'],
      ['vdc', 'raw'],
    ] as const) {
      const sum = await sumOfDisk(id, target, format);
      assert.equal(await sumInRepository(off, target), sum, target);
      assert.equal(await sumInRepository(again, target), sum, target);
    }
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
    await guestShell(libvirtd, 'writer');
    const on = await backUp(id);
    assert.equal(modes(on)['vda'], 'incremental', 'the mark outlived the time off');
  });

  test('after a crash of QEMU the marks are lost: the next backup reads everything and succeeds', async () => {
    const { id } = await show('writer');
    await daemon.admin('PATCH /healing/actions/{id}', { params: { id: 'vm-restart' }, body: { mode: 'off' } });
    process.kill(libvirtd.qemuPid('writer'), 'SIGKILL');
    const end = performance.now() + 30_000;
    while ((await show(id)).state !== 'crashed') assert.ok(performance.now() < end, 'the crash was not noticed');
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
    await guestShell(libvirtd, 'writer');
    await libvirtd.virsh('suspend', 'writer');
    const point = await backUp(id);
    assert.deepEqual(modes(point), { vda: 'full', vdb: 'full', vdc: 'full' });
    assert.equal(await sumInRepository(point, 'vda'), await sumOfDisk(id, 'vda', 'qcow2'));
    assert.equal(await sumInRepository(point, 'vdb'), await sumOfDisk(id, 'vdb', 'qcow2'));
    await libvirtd.virsh('resume', 'writer');
    const next = await backUp(id);
    assert.equal(modes(next)['vdb'], 'incremental');
  });
});
