/** Backups of real guests (TCG) on a real libvirtd. The truth is what the disk of a paused guest holds, read by qemu-img; a restore point
 *  has to be equal to it in every byte. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { glob, mkdtemp, open, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RestorePoint } from '#contract/backups.ts';
import { FINAL_STATES } from '#contract/operations.ts';
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
  const sumInRepository = async (point: RestorePoint, target: string, where?: string): Promise<string> => {
    const repository = await openRepository(where ?? join(daemon.stateDir, 'repositories/default'));
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
  /** As a guest would, and faster than one without KVM. @param n of the VM's disks, from 0 */
  const writeThroughQemu = async (vm: string, n: number, mib: number) => {
    const command = `qemu-io -d /machine/peripheral/virtio-disk${n}/virtio-backend "write -P 7 0 ${mib}M"`;
    assert.equal((await libvirtd.virsh('qemu-monitor-command', vm, '--hmp', command)).trim(), '');
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

  test('while its guest waits for its disks a backup reads slower, says so, and comes to its end', async () => {
    const { id } = await create({ ...small('waiting'), disks: [{ imageId }, { sizeBytes: 1536 * MIB }] });
    const shell = await guestShell(libvirtd, 'waiting');
    // It is looked at the guest once a second: what is read has to last for some of them, also on a fast machine.
    await writeThroughQemu('waiting', 1, 1536);
    await libvirtd.virsh('blkdeviotune', 'waiting', 'vda', '--total-iops-sec', '8', '--live');
    await shell.run(
      '(while :; do dd if=/dev/vda of=/dev/null bs=4k count=16 iflag=direct; done) >/dev/null 2>&1 & echo $!',
    );
    const notes = new Set<string>();
    const operation = await daemon.admin('POST /vms/{id}/backup', { params: { id }, body: {} });
    for (let isOver = false; !isOver; ) {
      const now = await daemon.admin('GET /operations/{id}', { params: { id: operation.id } });
      notes.add(now.progress?.note ?? '');
      isOver = FINAL_STATES.includes(now.state);
      if (now.progress?.note?.endsWith('giving way to the guest'))
        await libvirtd.virsh('blkdeviotune', 'waiting', 'vda', '--total-iops-sec', '0', '--live');
    }
    await daemon.finish(operation);
    assert.ok(
      [...notes].some((note) => note.endsWith('giving way to the guest')),
      [...notes].join('\n'),
    );
    // It would read on beside all tests that follow.
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id } }));
  });

  test('with the guest agent the file systems are still at the moment, and go on', async () => {
    const shell = await guestShell(libvirtd, 'writer');
    const point = await backUp('writer');
    assert.equal(point.consistency, 'agent', point.warnings.join(' '));
    console.log(`# count: file systems were frozen for ${point.frozenMs} ms`);
    assert.ok((point.frozenMs ?? 0) < 10_000);
    await sync(shell, 'echo after > /after');
    // By which a proof tells whether it booted the same guest.
    const { text: name } = await shell.run('hostname');
    const { guest } = await (await openRepository(join(daemon.stateDir, 'repositories/default'))).point(point.id);
    assert.equal(guest?.['hostname'], name.trim());
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

  test('a restored VM boots and holds what was written before the moment, under addresses of its own', async () => {
    const { id, nics } = await create({ ...small('source'), nics: [{}], tags: ['shop'], disks: [{ imageId }] });
    const shell = await guestShell(libvirtd, 'source');
    await sync(shell, 'echo written-before > /data/note || echo written-before > /note');
    const point = await backUp(id);
    assert.equal(point.consistency, 'agent', point.warnings.join(' '));
    const at = { params: { id: point.id }, body: { name: 'restored', start: true } };
    const plan = await daemon.admin('POST /restore-points/{id}/restore/plan', at);
    assert.ok(plan.needs.diskBytes > 0 && plan.needs.diskBytes < point.sizeBytes);
    await daemon.finish(await daemon.admin('POST /restore-points/{id}/restore', at));
    const restored = await show('restored');
    assert.notEqual(restored.id, id);
    assert.notEqual(restored.nics[0]?.mac, nics[0]?.mac);
    assert.deepEqual(restored.tags, ['shop']);
    const { text } = await (await guestShell(libvirtd, 'restored')).run('cat /data/note /note 2>/dev/null; true');
    assert.match(text, /written-before/);
    const problem = await daemon
      .admin('POST /restore-points/{id}/restore', at)
      .catch((error: unknown) => String(error));
    assert.match(String(problem), /restored/, 'a name that is taken is refused');
    for (const name of ['source', 'restored'])
      await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: name } }));
  });

  test('a backup that is cancelled, or whose QEMU goes away, leaves neither job nor mark nor file', async () => {
    const slow = await startDaemon({
      libvirtd,
      stateDir: await mkdtemp(join(libvirtd.dir, 'slow-')),
      config: { backups: { maxBytesPerSecond: MIB }, healing: { restartDelaysSeconds: [3600] } },
    });
    try {
      await slow.finish(await slow.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }));
      const image = await slow.admin('GET /images/{id}', { params: { id: 'hello' } });
      await slow.finish(await slow.admin('POST /vms', { body: { ...small('slow'), disks: [{ imageId: image.id }] } }));
      const at = { params: { id: 'slow' } };
      const begun = async () => {
        const operation = await slow.admin('POST /vms/{id}/backup', { ...at, body: {} });
        const end = performance.now() + 60_000;
        for (;;) {
          const { steps } = await slow.admin('GET /operations/{id}', { params: { id: operation.id } });
          if (steps.find(({ name }) => name === 'read')?.state === 'running') return operation;
          assert.ok(performance.now() < end, 'it reads');
          await sleep(50);
        }
      };
      const nothingLeft = async () => {
        assert.equal((await libvirtd.virsh('checkpoint-list', 'slow', '--name')).trim(), '');
        assert.deepEqual(await readdir(join(slow.stateDir, 'backup-runs')), []);
        assert.equal((await slow.admin('GET /restore-points')).total, 0);
      };
      const first = await begun();
      await slow.admin('POST /operations/{id}/cancel', { params: { id: first.id } });
      await slow.finish(first, 'cancelled');
      assert.match(await libvirtd.virsh('domjobinfo', 'slow'), /None/);
      await nothingLeft();
      const second = await begun();
      await slow.finish(await slow.admin('POST /vms/{id}/stop', at));
      await slow.finish(second, 'cancelled');
      await nothingLeft();
      await slow.finish(await slow.admin('POST /vms/{id}/start', at));
      const third = await begun();
      process.kill(libvirtd.qemuPid('slow'), 'SIGKILL');
      const { error } = await slow.finish(third, 'failed');
      assert.equal(error?.code, 'backup_interrupted', JSON.stringify(error));
      await nothingLeft();
    } finally {
      await libvirtd.virsh('destroy', 'slow').catch(() => undefined);
      await slow.close();
    }
  });

  test('a disk that is new or grew is read as a whole, the others by their changes', async () => {
    const { id } = await create({ ...small('growing'), disks: [{ sizeBytes: 16 * MIB }, { sizeBytes: 16 * MIB }] });
    await backUp(id);
    const extra = join(folder, 'extra.qcow2');
    await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', extra, '8M'], { timeoutMs: 20_000 });
    await libvirtd.virsh('attach-disk', 'growing', extra, 'vdc', '--subdriver', 'qcow2', '--live', '--config');
    await libvirtd.virsh('blockresize', 'growing', 'vdb', '24M');
    const point = await backUp(id);
    assert.deepEqual(
      point.disks.map(({ target, mode, reason, sizeBytes }) => ({ target, mode, reason, sizeBytes })),
      [
        { target: 'vda', mode: 'incremental', reason: null, sizeBytes: 16 * MIB },
        { target: 'vdb', mode: 'full', reason: 'its size changed', sizeBytes: 24 * MIB },
        { target: 'vdc', mode: 'full', reason: 'new disk', sizeBytes: 8 * MIB },
      ],
    );
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id } }));
    await libvirtd.virsh('detach-disk', 'growing', 'vdc', '--config');
    assert.deepEqual(modes(await backUp(id)), { vda: 'incremental', vdb: 'incremental' });
  });

  test('a whole reading finds what change tracking missed, tells it, and the disk is read as a whole once more', async () => {
    const { id } = await create({ ...small('missed'), start: false, disks: [{ sizeBytes: 16 * MIB }] });
    const path = await pathOf(id, 'vda');
    const power = async (what: 'start' | 'stop') =>
      await daemon.finish(await daemon.admin(`POST /vms/{id}/${what}`, { params: { id } }));
    await runChecked(['qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 8M', path], { timeoutMs: 20_000 });
    await power('start');
    await backUp(id);
    await power('stop');
    const { stdout } = await runChecked(['qemu-img', 'map', '--output=json', path], { timeoutMs: 20_000 });
    const [{ offset }] = JSON.parse(stdout);
    // Behind the back of QEMU, as a tracking with a mistake would look.
    await using file = await open(path, 'r+');
    await file.write('other', offset + 5 * MIB);
    await power('start');
    assert.deepEqual(modes(await backUp(id)), { vda: 'incremental' });

    const whole = await backUp(id, { full: true });
    assert.match(
      whole.warnings.join(' '),
      /tracking of vda missed something: one piece .* the first at byte 5242880\./,
    );
    const end = performance.now() + 60_000;
    for (;;) {
      const told = JSON.stringify((await daemon.admin('GET /notices', { query: {} })).items);
      if (/Backups of missed may lack changes/.test(told)) break;
      assert.ok(performance.now() < end, told);
      await sleep(200);
    }
    const again = await backUp(id);
    assert.deepEqual(
      again.disks.map(({ mode, reason }) => [mode, reason]),
      [['full', 'its change tracking missed something']],
    );
    assert.doesNotMatch(again.warnings.join(' '), /tracking/);
    assert.deepEqual(modes(await backUp(id)), { vda: 'incremental' });
    await power('stop');
    assert.equal(await sumInRepository(whole, 'vda'), await sumOfDisk(id, 'vda', 'qcow2'));
  });

  test('two repositories count changes each from its own mark, and the mark of another program stays', async () => {
    const { id } = await create({ ...small('twice'), disks: [{ sizeBytes: 16 * MIB }] });
    await daemon.admin('POST /repositories', { body: { name: 'second', folder: join(folder, 'second') } });
    await libvirtd.virsh('checkpoint-create-as', 'twice', 'of-somebody-else');
    await backUp(id);
    await backUp(id, { repository: 'second' });
    const [first, second] = [await backUp(id), await backUp(id, { repository: 'second' })];
    assert.deepEqual([modes(first), modes(second)], [{ vda: 'incremental' }, { vda: 'incremental' }]);
    const marks = (await libvirtd.virsh('checkpoint-list', 'twice', '--name')).trim().split('\n').sort();
    assert.equal(marks.length, 3);
    assert.equal(marks.at(-1), 'of-somebody-else');
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
    const { items } = await daemon.admin('GET /restore-points', { query: { vm: 'twice' } });
    assert.equal(items.length, 4, 'restore points outlive their VM');
    assert.ok(items.every(({ isVmThere }) => !isVmThere));
  });

  test('a guest agent that hangs holds nobody up, and the restore point says what it is worth', async () => {
    const { id } = await create({ ...small('hanging'), disks: [{ imageId }] });
    const shell = await guestShell(libvirtd, 'hanging');
    // Its own answer has to get out first.
    await shell.run('(sleep 1; kill -STOP $(pidof qemu-ga)) >/dev/null 2>&1 &');
    const end = performance.now() + 60_000;
    for (;;) {
      const isStopped = await libvirtd
        .virsh('qemu-agent-command', '--timeout', '2', 'hanging', '{"execute":"guest-ping"}')
        .then(
          () => false,
          () => true,
        );
      if (isStopped) break;
      assert.ok(performance.now() < end, 'the agent is stopped');
    }
    const point = await backUp(id);
    assert.equal(point.consistency, 'crash');
    assert.match(point.warnings.join(' '), /agent/);
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id } }));
  });

  test('firmware variables and the state of the TPM come back with a VM', async (context) => {
    const tpm = existsSync('/usr/bin/swtpm');
    if (!tpm) context.diagnostic('not run: the TPM, swtpm is not installed');
    const { id } = await create({ ...small('firm'), firmware: 'uefi', tpm, disks: [{ sizeBytes: 16 * MIB }] });
    const nvram = (vmId: string) => readFile(join(daemon.stateDir, 'nvram', `${vmId}.fd`));
    const state = (vmId: string) =>
      readFile(libvirtd.mapPath(`/var/lib/libvirt/swtpm/${vmId}/tpm2/tpm2-00.permall`)).catch(() => null);
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id } }));
    const [variables, secrets] = [await nvram(id), await state(id)];
    const point = await backUp(id);
    await daemon.finish(
      await daemon.admin('POST /restore-points/{id}/restore', {
        params: { id: point.id },
        body: { name: 'firm-copy' },
      }),
    );
    const copy = await show('firm-copy');
    assert.ok((await nvram(copy.id)).equals(variables), 'firmware variables');
    assert.equal(copy.hasTpm, tpm);
    if (tpm) assert.ok(secrets !== null && (await state(copy.id))?.equals(secrets), 'state of the TPM');
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: copy.id } }));
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: copy.id } }));
  });

  test('a VM with saved memory is read from its files, and keeps its memory', async () => {
    const { id } = await create({ ...small('saved'), disks: [{ sizeBytes: 16 * MIB }] });
    await libvirtd.virsh('managedsave', 'saved');
    const point = await backUp(id);
    assert.equal(point.consistency, 'offline');
    assert.equal(await sumInRepository(point, 'vda'), await sumOfDisk(id, 'vda', 'qcow2'));
    assert.match(await libvirtd.virsh('dominfo', 'saved'), /Managed save:\s+yes/);
    assert.equal((await show(id)).state, 'off');
  });

  test('nothing goes into an encrypted repository before its key was typed back; with the key another host reads it', async () => {
    const where = join(folder, 'safe');
    const { recoveryKey } = await daemon.admin('POST /repositories', {
      body: { name: 'safe', folder: where, isEncrypted: true },
    });
    assert.ok(recoveryKey);
    const at = { params: { id: 'safe' } };
    await assert.rejects(
      daemon.admin('POST /vms/{id}/backup', { params: { id: 'growing' }, body: { repository: 'safe' } }),
      /repository_unconfirmed|was not confirmed/,
    );
    await assert.rejects(
      daemon.admin('POST /repositories/{id}/confirm', { ...at, body: { recoveryKey: `${recoveryKey.slice(0, -1)}x` } }),
    );
    await daemon.admin('POST /repositories/{id}/confirm', { ...at, body: { recoveryKey: recoveryKey.toUpperCase() } });
    const point = await backUp('growing', { repository: 'safe' });
    await daemon.admin('DELETE /repositories/{id}', at);
    const lost = await daemon.admin('GET /restore-points/{id}', { params: { id: point.id } }).catch(() => null);
    assert.equal(lost, null, 'its restore points are forgotten with it');
    await daemon.admin('POST /repositories', { body: { name: 'again', folder: where, existing: true, recoveryKey } });
    await daemon.finish(await daemon.admin('POST /repositories/{id}/scan', { params: { id: 'again' } }));
    const found = await daemon.admin('GET /restore-points/{id}', { params: { id: point.id } });
    assert.deepEqual(
      { ...found, repositoryId: '', repositoryName: '' },
      { ...point, repositoryId: '', repositoryName: '' },
    );
    await daemon.finish(
      await daemon.admin('POST /restore-points/{id}/restore', {
        params: { id: point.id },
        body: { name: 'from-safe' },
      }),
    );
  });

  test('one flipped bit is found, is never restored, and the next backup heals it', async () => {
    const { id } = await create({ ...small('flipped'), disks: [{ sizeBytes: 16 * MIB }], start: false });
    await runChecked(['qemu-io', '-f', 'qcow2', '-c', 'write -P 77 2M 128k', await pathOf(id, 'vda')], {
      timeoutMs: 20_000,
    });
    const where = join(folder, 'fragile');
    await daemon.admin('POST /repositories', { body: { name: 'fragile', folder: where } });
    const point = await backUp(id, { repository: 'fragile' });
    for await (const path of glob(join(where, 'chunks/*/*/*'))) {
      const file = await open(path, 'r+');
      const bytes = await file.readFile();
      // Of the objects only a chunk has this length before compression, see the format.
      if (bytes.readUInt32BE(4) === MIB) await file.write(Buffer.of((bytes[30] ?? 0) ^ 1), 0, 1, 30);
      await file.close();
    }
    const at = { params: { id: 'fragile' }, body: { readData: true } };
    const failed = await daemon.finish(await daemon.admin('POST /repositories/{id}/check', at), 'failed');
    assert.equal(failed.error?.code, 'repository_problems');
    const bad = await daemon.admin('GET /restore-points/{id}', { params: { id: point.id } });
    assert.equal(bad.state, 'bad');
    assert.match(bad.problem ?? '', /damaged/);
    const restore = await daemon
      .admin('POST /restore-points/{id}/restore', { params: { id: point.id }, body: { name: 'never' } })
      .then((operation) => daemon.finish(operation, 'failed'))
      .then(({ error }) => error?.code ?? '', String);
    assert.match(restore, /damaged/);
    assert.equal(await show('never').catch(() => null), null);
    const next = await backUp(id, { repository: 'fragile' });
    assert.equal(next.disks[0]?.mode, 'full');
    assert.match(next.disks[0]?.reason ?? '', /damaged/);
    assert.equal(await sumInRepository(next, 'vda', where), await sumOfDisk(id, 'vda', 'qcow2'));
  });
});
