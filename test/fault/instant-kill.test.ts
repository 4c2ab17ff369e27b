/** Instant restore under kills: of hyperd in every step, and of hyperd, the exporter, libvirtd and QEMU while a guest writes and its data is
 *  copied. Afterwards the disk has every byte of the restore point and every write that the guest was told is safe, and nothing is left. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { InstantRestore } from '#contract/backups.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { openRepository } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { type GuestShell, guestShell } from '../support/guest-shell.ts';
import { killPoints } from '../support/kill-points.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { assertSettled } from '../support/settled.ts';

const skip = missingForLibvirtd() ?? false;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const isFull = process.env['HV_TEST_FULL'] === '1';
const SIZE = 16 * MIB;

let libvirtd: PrivateLibvirtd;
let stateDir: string;
let copies = 0;
/** Of a small disk without a system, and of a guest that runs. */
const pointIds: Record<'small' | 'guest', string> = { small: '', guest: '' };
const counts = { points: 0, pointsInAll: 0, kills: 0, crashes: 0, done: 0, acknowledged: 0, lost: 0 };

const start = (killPoint: string | null, maxBytesPerSecond: number | null = null): Promise<TestDaemon> =>
  startDaemon({
    libvirtd,
    stateDir,
    config: { backups: { maxBytesPerSecond }, healing: { restartDelaysSeconds: [3600] } },
    ...(killPoint === null ? {} : { env: { HV_KILL_POINT: killPoint } }),
  });
const show = (daemon: TestDaemon, id: string): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id } });
const diskPath = async (daemon: TestDaemon, id: string, wanted = 'vda') =>
  join(stateDir, 'disks', (await show(daemon, id)).disks.find(({ target }) => target === wanted)?.source ?? '');
const instant = async (daemon: TestDaemon, name: string): Promise<InstantRestore | null> =>
  (await daemon.admin('GET /instant-restores')).items.find(({ vmName }) => vmName === name) ?? null;
const restore = (daemon: TestDaemon, name: string, pointId: string): Promise<Operation> =>
  daemon.admin('POST /restore-points/{id}/restore', { params: { id: pointId }, body: { name, mode: 'instant' } });
const remove = async (daemon: TestDaemon, name: string) => {
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: name }, query: { stop: 'true' } }));
  for (const { id } of (await daemon.admin('GET /trash')).items)
    await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id } }));
};

async function eventually(what: string, isSo: () => Promise<boolean>, withinMs = 90_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await isSo())) {
    assert.ok(performance.now() < end, what);
    await sleep(100);
  }
}

async function exporters(): Promise<readonly number[]> {
  const { stdout } = await runChecked(['ps', '-eo', 'pid,args'], { timeoutMs: 10_000 });
  const lines = stdout.split('\n').filter((line) => line.includes(`exporter/main.ts ${stateDir}`));
  return lines.map((line) => Number.parseInt(line, 10));
}

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
  const daemon = await start(null);
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }));
  const { id: imageId } = await daemon.admin('GET /images/{id}', { params: { id: 'hello' } });
  const bare = { vcpus: 1, accel: 'tcg', graphics: false, firmware: 'bios' } as const;
  const bodies: Record<'small' | 'guest', VmCreateInput> = {
    small: { ...bare, nics: [], name: 'small', memoryBytes: 32 * MIB, disks: [{ sizeBytes: SIZE }], start: false },
    guest: {
      ...bare,
      nics: [],
      name: 'guest',
      memoryBytes: 192 * MIB,
      disks: [{ imageId }, { sizeBytes: 64 * MIB }],
      start: false,
    },
  };
  for (const name of ['small', 'guest'] as const) {
    await daemon.finish(await daemon.admin('POST /vms', { body: bodies[name] }));
    for (const at of name === 'small' ? [1, 5, 9] : [])
      await runChecked(['qemu-io', '-f', 'qcow2', '-c', `write -P ${at} ${at}M 300k`, await diskPath(daemon, name)], {
        timeoutMs: 30_000,
      });
    // More to copy than what happens meanwhile takes.
    if (name === 'guest')
      await runChecked(['qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 64M', await diskPath(daemon, name, 'vdb')], {
        timeoutMs: 60_000,
      });
    const { result } = await daemon.finish(
      await daemon.admin('POST /vms/{id}/backup', { params: { id: name }, body: {} }),
    );
    pointIds[name] = JSON.parse(JSON.stringify(result)).pointId;
  }
  await daemon.stop();
  await daemon.close();
});
after(async () => {
  await libvirtd?.close();
  console.log(
    `# count: seed ${seed}: ${counts.points} of ${counts.pointsInAll} kill points; ${counts.kills} kills, ${counts.done} restores done after them, 0 left open; ${counts.acknowledged} writes acknowledged to guests, ${counts.lost} lost; ${counts.crashes} crashes of QEMU by itself`,
  );
});

async function sumOfFile(path: string): Promise<string> {
  const script = 'qemu-img convert -U -f qcow2 -O raw "$1" "$1.sum" && sha256sum <"$1.sum"; rm -f "$1.sum"';
  const { stdout } = await runChecked(['sh', '-c', script, 'sh', path], { timeoutMs: 60_000 });
  return stdout.slice(0, 64);
}

async function sumOfPoint(pointId: string): Promise<string> {
  const disk = await (await openRepository(join(stateDir, 'repositories/default'))).openDisk(pointId, 'vda');
  try {
    return createHash('sha256')
      .update(await disk.read(0, disk.sizeBytes))
      .digest('hex');
  } finally {
    await disk.close();
  }
}

/** What must be so when it is over. */
async function assertOver(daemon: TestDaemon, name: string): Promise<void> {
  await eventually(`${name} is copied`, async () => (await instant(daemon, name)) === null);
  await eventually('no operation is open', async () =>
    (await daemon.admin('GET /operations')).items.every(({ state }) => ['done', 'failed', 'cancelled'].includes(state)),
  );
  assert.deepEqual(await readdir(join(stateDir, 'instant')), [], 'folders, sockets, logs');
  // One that was told to end has taken its socket away first.
  await eventually('the exporter ended', async () => (await exporters()).length === 0, 20_000);
  const { stdout } = await runChecked(
    ['qemu-img', 'info', '-U', '--output=json', '-f', 'qcow2', await diskPath(daemon, name)],
    { timeoutMs: 20_000 },
  );
  assert.equal(JSON.parse(stdout)['backing-filename'], undefined);
  const used = (await daemon.admin('GET /vms')).items.flatMap((vm) => vm.disks.flatMap(({ source }) => source ?? []));
  assert.deepEqual((await readdir(join(stateDir, 'disks'))).sort(), used.sort(), 'disk files and disks of VMs');
  const database = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true });
  try {
    assertSettled(database);
  } finally {
    database.close();
  }
}

const STEPS = [
  ...['prepare', 'export', 'overlays', 'blobs', 'define', 'start', 'publish', 'hand-over'].map(
    (step) => `backup.restore-instant:${step}`,
  ),
  ...['copy', 'settle', 'let-go'].map((step) => `backup.copy-behind:${step}`),
];
const { points: chosen, all } = killPoints(STEPS);
/** A third of the steps in each ordinary run, which of them the seed decides. */
const points = isFull ? chosen : chosen.filter((_point, n) => n % 3 === seed % 3);
counts.points = points.length;
counts.pointsInAll = all;

for (const point of points)
  test(`an instant restore survives a kill of hyperd at ${point}`, { skip }, async () => {
    copies += 1;
    const name = `copy-${copies}`;
    const victim = await start(point);
    try {
      await restore(victim, name, pointIds.small).catch((error: unknown) =>
        // Only the connection may fail here, not the request.
        assert.doesNotMatch(String(error), /ApiProblem/, String(error)),
      );
      const how = await Promise.race([victim.exited, sleep(90_000).then(() => 'alive')]);
      assert.equal(how, 'SIGKILL', `the kill point was not reached\n${victim.output().slice(-2000)}`);
      counts.kills += 1;
    } finally {
      await victim.close();
    }
    const daemon = await start(null);
    try {
      const kind = 'backup.restore-instant';
      const [operation] = (await daemon.admin('GET /operations', { query: { kind, limit: 1 } })).items;
      assert.ok(operation, 'the operation was journalled before its first step');
      await daemon.finish(operation);
      counts.done += 1;
      assert.equal((await show(daemon, name)).state, 'running');
      await assertOver(daemon, name);
      // Nothing of it may be in the memory of QEMU only.
      process.kill(libvirtd.qemuPid(name), 'SIGKILL');
      assert.equal(await sumOfFile(await diskPath(daemon, name)), await sumOfPoint(pointIds.small));
      await remove(daemon, name);
    } finally {
      await daemon.stop();
      await daemon.close();
    }
  });

test('a damaged place of the restore point ends the copying and is named; mended, it goes on', { skip }, async () => {
  const chunks = join(stateDir, 'repositories/default/chunks');
  const { stdout } = await runChecked(['find', chunks, '-type', 'f', '-size', '-3k'], { timeoutMs: 10_000 });
  const kept = new Map<string, Buffer>();
  for (const path of stdout.split('\n').filter(Boolean)) kept.set(path, await readFile(path));
  const daemon = await start(null);
  try {
    for (const [path, bytes] of kept) {
      // Pages and documents are needed to begin at all.
      if ((bytes.readUInt8(3) & 12) !== 0) continue;
      const flipped = Buffer.from(bytes);
      flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1);
      await writeFile(path, flipped);
    }
    await daemon.finish(await restore(daemon, 'damaged', pointIds.small));
    await eventually('it is held', async () => (await instant(daemon, 'damaged'))?.state === 'held');
    assert.match((await instant(daemon, 'damaged'))?.problem ?? '', /disk vda .* at byte \d+ is damaged/);
    for (const [path, bytes] of kept) await writeFile(path, bytes);
    const { vmId } = (await instant(daemon, 'damaged')) ?? assert.fail();
    const copying = await daemon.admin('POST /vms/{id}/copy-behind', { params: { id: vmId } });
    await eventually('it is copied', async () => {
      // QEMU 7.2.22 now and then dies of a segmentation fault of its own when a copy that failed is followed by another. The copying waits.
      if ((await show(daemon, 'damaged')).state === 'crashed') {
        assert.equal(counts.crashes, 0, 'once in a run may be an accident');
        await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: vmId } }));
        counts.crashes += 1;
      }
      return (await daemon.admin('GET /operations/{id}', { params: { id: copying.id } })).finishedAt !== null;
    });
    await daemon.finish(copying);
    await assertOver(daemon, 'damaged');
    assert.equal(await sumOfFile(await diskPath(daemon, 'damaged')), await sumOfPoint(pointIds.small));
    await remove(daemon, 'damaged');
  } finally {
    for (const [path, bytes] of kept) await writeFile(path, bytes);
    await daemon.stop();
    await daemon.close();
  }
});

/** Numbers that the guest writes one after the other, each on its disk before it says so on its serial port. */
const WRITER = `n=$(tail -n 1 /data/log 2>/dev/null || echo 0)
while :; do n=$((n+1)); echo $n >> /data/log; sync; echo "ACK $n." > /dev/ttyS0; done`;

test('every write that a guest was told is safe is there after kills of everything while its data is copied', {
  skip,
}, async () => {
  let daemon = await start(null, MIB);
  const name = 'writer';
  const isRunning = () => show(daemon, name).then(({ state }) => state === 'running');
  try {
    await daemon.finish(await restore(daemon, name, pointIds.guest));
    const { id } = await show(daemon, name);
    const serial = async () => await readFile(join(stateDir, 'serial', `${id}.log`), 'latin1').catch(() => '');
    /** Says how the guest is with what went wrong. */
    const told = async (error: unknown): Promise<never> => {
      const state = await libvirtd.virsh('domstate', name, '--reason');
      const open = (await daemon.admin('GET /operations')).items.filter(({ finishedAt }) => finishedAt === null);
      const seen = JSON.stringify([await instant(daemon, name), open.map(({ kind, progress }) => [kind, progress])]);
      const qemu = await readFile(join(libvirtd.dir, 'log/qemu', `${name}.log`), 'utf8').catch(String);
      throw new Error(
        `${String(error)}; ${state.trim()}; ${seen}; ${(await serial()).slice(-500)}\n${qemu.slice(-1500)}\n${daemon.output().slice(-3000)}`,
      );
    };
    const acknowledged = async () =>
      Math.max(0, ...[...(await serial()).matchAll(/ACK (\d+)\./g)].map(([, n]) => Number(n)));
    let shell: GuestShell = await guestShell(libvirtd, name);
    const again = () => guestShell(libvirtd, name).catch(told);
    const write = () => shell.run(`(${WRITER}) >/dev/null 2>&1 &`);
    /** QEMU 7.2.22 now and then dies of a segmentation fault of its own when the server of a disk goes while it copies (the kernel's log
     *  names it). What is promised holds then too: nothing that was acknowledged is lost, and the VM starts again. */
    let isServerKilled = false;
    const startCrashed = async () => {
      if (!isServerKilled || (await show(daemon, name)).state !== 'crashed') return;
      assert.equal(counts.crashes, 0, 'once in a run may be an accident');
      const atCrash = await acknowledged();
      await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
      shell = await again();
      const { text } = await shell.run('tail -n 1 /data/log');
      assert.ok(Number(text) >= atCrash, `${atCrash} were acknowledged before QEMU died, ${text.trim()} are there`);
      await write();
      counts.crashes += 1;
    };
    const goesOn = async (what: string) => {
      const since = await acknowledged();
      // As slow as can be: much has to happen before all is copied.
      await libvirtd.virsh('blockjob', name, 'vda', '--bytes', '--bandwidth', '65536').catch(() => undefined);
      await eventually(`the guest writes on after ${what}`, async () => {
        await startCrashed();
        return (await acknowledged()) > since + 3;
      }).catch(told);
      assert.notEqual(await instant(daemon, name), null, 'its data is not copied yet');
      counts.kills += 1;
    };
    const killExporter = async () => {
      const [pid] = await exporters();
      process.kill(pid ?? assert.fail('there is an exporter'), 'SIGKILL');
    };
    /** What makes the guest read what is not here yet. The agent is silent while the guest is paused. */
    const read = () =>
      eventually('the guest reads', () =>
        shell
          .run('(echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda of=/dev/null bs=1M count=8) >/dev/null 2>&1 &')
          .then(
            () => true,
            async () => {
              await startCrashed();
              return false;
            },
          ),
      );
    await write();

    isServerKilled = true;
    await killExporter();
    await read();
    await eventually('it has an exporter again', async () => (await exporters()).length === 1);
    await goesOn('a kill of the exporter');
    isServerKilled = false;

    const [before] = await exporters();
    await daemon.kill('SIGKILL');
    await daemon.close();
    const since = await acknowledged();
    await eventually('it writes without hyperd', async () => (await acknowledged()) > since + 3);
    daemon = await start(null, MIB);
    await goesOn('a kill of hyperd');
    assert.deepEqual(await exporters(), [before], 'the same exporter');

    await libvirtd.kill();
    await libvirtd.restart();
    await goesOn('a kill of libvirtd');

    process.kill(libvirtd.qemuPid(name), 'SIGKILL');
    await eventually('the crash is noticed', async () => (await show(daemon, name)).state === 'crashed');
    const atCrash = await acknowledged();
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
    shell = await again();
    const { text } = await shell.run('tail -n 1 /data/log');
    assert.ok(Number(text) >= atCrash, `${atCrash} were acknowledged before QEMU was killed, ${text.trim()} are there`);
    await write();
    await goesOn('a kill of QEMU');

    // As after a restart of the host: nothing runs, and the clock of the boot is another.
    await daemon.kill('SIGKILL');
    await daemon.close();
    await killExporter();
    process.kill(libvirtd.qemuPid(name), 'SIGKILL');
    const atBoot = await acknowledged();
    const database = new DatabaseSync(join(stateDir, 'state.db'));
    database.prepare("UPDATE instant_restore SET boot_id = 'another'").run();
    database.close();
    daemon = await start(null, MIB);
    await eventually('it is started again', isRunning);
    shell = await again();
    const { text: afterBoot } = await shell.run('tail -n 1 /data/log');
    assert.ok(Number(afterBoot) >= atBoot, `${atBoot} were acknowledged, ${afterBoot.trim()} are there`);
    await write();
    await goesOn('a restart of the host');

    await eventually(
      'all is copied',
      async () => {
        for (const target of ['vda', 'vdb'])
          await libvirtd.virsh('blockjob', name, target, '--bandwidth', '0').catch(() => undefined);
        return (await instant(daemon, name)) === null;
      },
      180_000,
    );
    await assertOver(daemon, name);
    counts.acknowledged = await acknowledged();
    const there = new Set((await shell.run('cat /data/log')).text.trim().split('\n').map(Number));
    counts.lost = Array.from({ length: counts.acknowledged }, (_, n) => n + 1).filter((n) => !there.has(n)).length;
    assert.equal(counts.lost, 0);
  } finally {
    await daemon.stop();
    await daemon.close();
  }
});
