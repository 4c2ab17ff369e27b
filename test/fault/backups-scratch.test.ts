/** The file system that holds what a guest overwrites during its backup fills up, and a guest goes off while it is read: the guest notices
 *  nothing, nothing is left, and the run of the schedule has its restore point all the same. */

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openRepository } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { run, runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const NAME = 'busy';
const DATA_MIB = 6;
/** Sparse: most of it is only said to be there. */
const FILE_SYSTEM_MIB = 4600;
/** Below half of what hyperd keeps free. */
const LEFT_MIB = 800;
const program = (...argv: readonly string[]) => runChecked(argv, { timeoutMs: 60_000 });

const folder = await mkdtemp(join(tmpdir(), 'hv-scratch-'));
const stateDir = join(folder, 'state');
const ballast = join(stateDir, 'ballast');

/** A small file system of its own; why not, when there is none. */
async function mountSmall(): Promise<string | null> {
  const missing = missingForLibvirtd();
  if (missing !== null) return missing;
  const image = join(folder, 'disk.img');
  await program('truncate', '-s', `${FILE_SYSTEM_MIB}M`, image);
  await program('mkfs.ext4', '-q', '-m', '0', image);
  await program('mkdir', stateDir);
  const { code, stderr } = await run(['mount', '-o', 'loop', image, stateDir], { timeoutMs: 60_000 });
  return code === 0 ? null : `no loop device can be mounted: ${stderr.trim()}`;
}
const skip = (await mountSmall()) ?? false;

describe('room and power during a backup', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    daemon = await startDaemon({
      libvirtd,
      stateDir,
      config: { backups: { maxBytesPerSecond: MIB }, healing: { restartDelaysSeconds: [3600] } },
    });
    const body = {
      name: NAME,
      memoryBytes: 128 * MIB,
      vcpus: 1,
      accel: 'tcg',
      graphics: false,
      firmware: 'bios',
    } as const;
    await daemon.finish(
      await daemon.admin('POST /vms', { body: { ...body, start: false, nics: [], disks: [{ sizeBytes: 16 * MIB }] } }),
    );
    const { disks } = await daemon.admin('GET /vms/{id}', { params: { id: NAME } });
    const disk = join(stateDir, 'disks', disks.find(({ target }) => target === 'vda')?.source ?? '');
    await program('qemu-io', '-f', 'qcow2', '-c', `write -P 7 0 ${DATA_MIB}M`, disk);
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: NAME } }));
  });
  after(async () => {
    await daemon?.close();
    await libvirtd?.close();
  });

  /** Resolves when the backup of the VM reads its disks. */
  const whenReading = async () => {
    const end = performance.now() + 60_000;
    for (;;) {
      const { items } = await daemon.admin('GET /operations', { query: {} });
      const open = items.find(({ kind, state }) => kind === 'backup.run' && state === 'running');
      const steps = open && (await daemon.admin('GET /operations/{id}', { params: { id: open.id } })).steps;
      if (open && steps?.find(({ name }) => name === 'read')?.state === 'running') return open;
      assert.ok(performance.now() < end, 'it reads');
      await sleep(50);
    }
  };
  const write = async (text: string) => {
    const blocks = JSON.parse(await libvirtd.virsh('qemu-monitor-command', NAME, '{"execute":"query-block"}'));
    const disk = blocks.return.find(({ inserted }: { inserted?: { drv: string } }) => inserted?.drv === 'qcow2');
    return libvirtd.virsh('qemu-monitor-command', NAME, '--hmp', `qemu-io -d ${disk.qdev} "${text}"`);
  };

  test('a backup whose scratch has no room is ended; the guest writes on, nothing is left, and with room it is made', async () => {
    const begun = await daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body: {} });
    await whenReading();
    const { bavail, bsize } = await statfs(stateDir);
    await program('fallocate', '-l', String(bavail * bsize - LEFT_MIB * MIB), ballast);
    const sinceMs = performance.now();
    const { error } = await daemon.finish(begun, 'failed');
    console.log(`# count: ended ${Math.round(performance.now() - sinceMs)} ms after the file system was nearly full`);
    assert.equal(error?.code, 'backup_scratch_full', JSON.stringify(error));
    await write('write -P 9 1M 64k');
    assert.match(await libvirtd.virsh('domjobinfo', NAME), /None/);
    assert.equal((await libvirtd.virsh('checkpoint-list', NAME, '--name')).trim(), '');
    assert.deepEqual(await readdir(join(stateDir, 'backup-runs')), []);
    assert.equal((await daemon.admin('GET /restore-points')).total, 0);
    // While there is none it does not even begin.
    const refused = await daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body: {} });
    assert.equal((await daemon.finish(refused, 'failed')).error?.code, 'no_space');
    await rm(ballast);
    await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body: {} }));
    const { items } = await daemon.admin('GET /restore-points');
    assert.equal(items.length, 1);
    const disk = await (await openRepository(join(stateDir, 'repositories/default'))).openDisk(
      items[0]?.id ?? '',
      'vda',
    );
    assert.ok(
      (await disk.read(MIB, 65_536)).every((byte) => byte === 9),
      'what was written meanwhile is there',
    );
    await disk.close();
  });

  test('a guest that goes off while a schedule reads it is read once more as it is then', async () => {
    await daemon.admin('POST /backup-schedules', { body: { name: 'nightly', proof: 'never' } });
    await write(`write -P 11 0 ${DATA_MIB}M`);
    const round = await daemon.admin('POST /backup-schedules/{id}/run', { params: { id: 'nightly' } });
    const first = await whenReading();
    await libvirtd.virsh('destroy', NAME);
    await daemon.finish(round);
    const report = await daemon.admin('GET /backup-runs/{id}', { params: { id: round.id } });
    assert.deepEqual([report.state, report.vms.map(({ state }) => state)], ['done', ['done']]);
    assert.notEqual(report.vms[0]?.operationId, first.id);
    const { items } = await daemon.admin('GET /restore-points');
    assert.deepEqual([items.length, items[0]?.consistency, items[0]?.id], [2, 'offline', report.vms[0]?.pointId]);
  });
});

after(async () => {
  if (skip === false) await program('umount', stateDir);
  await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
});
