/** hyperd is killed before, in and after every step of a backup, a restore, an overwriting restore and a prune. After a restart nothing may be left
 *  open in QEMU, no mark without its restore point, no half-made file, and every byte of every restore point has to be there. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RestorePoint } from '#contract/backups.ts';
import type { Operation } from '#contract/operations.ts';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { openRepository } from '#features/backups/store/index.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { killPoints } from '../support/kill-points.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { assertSettled } from '../support/settled.ts';

const skip = missingForLibvirtd() ?? false;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const SIZE = 16 * MIB;
const NAME = 'victim';

let libvirtd: PrivateLibvirtd;
let stateDir: string;
let rounds = 0;
let copies = 0;
const counts = { points: 0, pointsInAll: 0, kills: 0, done: 0 };

const start = (killPoint: string | null): Promise<TestDaemon> =>
  startDaemon({
    libvirtd,
    stateDir,
    config: { healing: { restartDelaysSeconds: [3600] } },
    ...(killPoint === null ? {} : { env: { HV_KILL_POINT: killPoint } }),
  });
const show = (daemon: TestDaemon, id: string): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id } });
const diskPath = async (daemon: TestDaemon, id: string) =>
  join(stateDir, 'disks', (await show(daemon, id)).disks.find(({ target }) => target === 'vda')?.source ?? '');
const power = async (daemon: TestDaemon, isOn: boolean) => {
  if (((await show(daemon, NAME)).state === 'off') !== isOn) return;
  await daemon.finish(
    await daemon.admin(isOn ? 'POST /vms/{id}/start' : 'POST /vms/{id}/stop', { params: { id: NAME } }),
  );
};
const pointOf = async (daemon: TestDaemon, operation: Operation): Promise<RestorePoint> =>
  daemon.admin('GET /restore-points/{id}', { params: { id: JSON.parse(JSON.stringify(operation.result)).pointId } });
const backUp = async (daemon: TestDaemon): Promise<RestorePoint> =>
  pointOf(daemon, await daemon.finish(await daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body: {} })));

async function sumOfFile(path: string): Promise<string> {
  const { stdout } = await runChecked(
    [
      'sh',
      '-c',
      'qemu-img convert -U -f qcow2 -O raw "$1" "$1.sum" && sha256sum <"$1.sum"; rm -f "$1.sum"',
      'sh',
      path,
    ],
    { timeoutMs: 60_000 },
  );
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

/** Other bytes than ever before, while nobody uses the disk. */
async function change(daemon: TestDaemon): Promise<void> {
  await power(daemon, false);
  rounds += 1;
  const at = (rounds % 12) * MIB + 4096 * rounds;
  await runChecked(
    ['qemu-io', '-f', 'qcow2', '-c', `write -P ${rounds % 251} ${at} 65536`, await diskPath(daemon, NAME)],
    { timeoutMs: 30_000 },
  );
}

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
  const daemon = await start(null);
  const body: VmCreateInput = {
    name: NAME,
    memoryBytes: 32 * MIB,
    vcpus: 1,
    accel: 'tcg',
    graphics: false,
    firmware: 'bios',
    nics: [],
    disks: [{ sizeBytes: SIZE }],
    start: false,
  };
  await daemon.finish(await daemon.admin('POST /vms', { body }));
  await daemon.stop();
  await daemon.close();
});
after(async () => {
  await libvirtd?.close();
  console.log(
    `# count: seed ${seed}: ${counts.points} of ${counts.pointsInAll} kill points; ${counts.kills} kills of hyperd, ${counts.done} operations done after it, 0 left open`,
  );
});

/** What must be so whenever nothing is at work. */
async function assertWhole(daemon: TestDaemon): Promise<void> {
  for (const { title, state } of (await daemon.admin('GET /operations')).items)
    assert.ok(['done', 'failed', 'cancelled'].includes(state), `${title} is ${state}`);
  const runs = join(stateDir, 'backup-runs');
  assert.deepEqual(existsSync(runs) ? await readdir(runs) : [], [], 'folders, sockets and scratch files of backups');
  const points = (await daemon.admin('GET /restore-points')).items;
  for (const vm of (await daemon.admin('GET /vms')).items) {
    const isOn = vm.state !== 'off';
    if (isOn) assert.match(await libvirtd.virsh('domjobinfo', vm.name), /None/, `${vm.name} has a job`);
    const marks = (await libvirtd.virsh('checkpoint-list', vm.name, '--name'))
      .split('\n')
      .filter((name) => name !== '');
    assert.ok(marks.length <= 1, `${vm.name} has the marks ${marks.join()}`);
  }
  const used = (await daemon.admin('GET /vms')).items.flatMap((vm) => vm.disks.flatMap(({ source }) => source ?? []));
  assert.deepEqual((await readdir(join(stateDir, 'disks'))).sort(), used.sort(), 'disk files and disks of VMs');
  for (const point of points) assert.equal(point.state, 'good');
  const checked = await daemon.finish(
    await daemon.admin('POST /repositories/{id}/check', { params: { id: 'default' }, body: { readData: true } }),
  );
  assert.equal(JSON.parse(JSON.stringify(checked.result)).points, points.length, 'what is listed is what is there');
  const database = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true });
  try {
    assertSettled(database);
  } finally {
    database.close();
  }
}

interface KilledRun<Prepared> {
  readonly point: string;
  prepare(daemon: TestDaemon): Promise<Prepared>;
  ask(daemon: TestDaemon, prepared: Prepared): Promise<Operation>;
  check(daemon: TestDaemon, operation: Operation, prepared: Prepared): Promise<void>;
}

async function killedRun<Prepared>({ point, prepare, ask, check }: KilledRun<Prepared>): Promise<void> {
  const victim = await start(point);
  let prepared: Prepared;
  let asked: Operation | null = null;
  try {
    prepared = await prepare(victim);
    asked = await ask(victim, prepared).catch((error: unknown) => {
      // Only the connection may fail here, not the request.
      assert.doesNotMatch(String(error), /ApiProblem/, String(error));
      return null;
    });
    const how = await Promise.race([victim.exited, sleep(60_000).then(() => 'alive')]);
    assert.equal(how, 'SIGKILL', `the kill point was not reached\n${victim.output().slice(-2000)}`);
    counts.kills += 1;
  } finally {
    await victim.close();
  }
  const daemon = await start(null);
  try {
    const kind = point.split(':')[0] ?? '';
    const operation = asked ?? (await daemon.admin('GET /operations', { query: { kind, limit: 1 } })).items[0];
    assert.ok(operation, 'the operation was journalled before its first step');
    const finished = await daemon.finish(operation);
    counts.done += 1;
    await check(daemon, finished, prepared);
    await assertWhole(daemon);
  } finally {
    await daemon.stop();
    await daemon.close();
  }
}

function points(kind: string, steps: readonly string[]): readonly string[] {
  const { points: chosen, all } = killPoints(steps.map((step) => `${kind}:${step}`));
  counts.points += chosen.length;
  counts.pointsInAll += all;
  return chosen;
}

const STEPS = ['turn', 'plan', 'power', 'blobs', 'begin', 'read', 'publish', 'end', 'parent', 'tidy'];

for (const [kind, isOn] of [
  ['backup.run', true],
  ['backup.run-stopped', false],
] as const)
  for (const point of points(kind, STEPS))
    test(`a backup of a VM that is ${isOn ? 'on' : 'off'} survives a kill at ${point}`, { skip }, async () => {
      await killedRun({
        point,
        async prepare(daemon) {
          await change(daemon);
          const sum = await sumOfFile(await diskPath(daemon, NAME));
          if (isOn) await power(daemon, true);
          return sum;
        },
        ask: (daemon) => daemon.admin('POST /vms/{id}/backup', { params: { id: NAME }, body: {} }),
        async check(daemon, operation, sum) {
          const made = await pointOf(daemon, operation);
          assert.equal(await sumOfPoint(made.id), sum, 'every byte of the moment');
          const { state } = await show(daemon, NAME);
          assert.equal(state === 'off', !isOn, `the VM is ${state}`);
          const next = await backUp(daemon);
          assert.notEqual(next.disks[0]?.mode, 'full', `the next one counts from it: ${next.disks[0]?.reason}`);
          assert.equal(await sumOfPoint(next.id), sum);
        },
      });
    });

for (const point of points('backup.restore', ['prepare', 'disks', 'blobs', 'define', 'start', 'publish']))
  test(`a restore survives a kill at ${point}`, { skip }, async () => {
    copies += 1;
    const name = `copy-${copies}`;
    await killedRun({
      point,
      async prepare(daemon) {
        await change(daemon);
        return backUp(daemon);
      },
      ask: (daemon, made) =>
        daemon.admin('POST /restore-points/{id}/restore', { params: { id: made.id }, body: { name, start: true } }),
      async check(daemon, _operation, made) {
        const { state } = await show(daemon, name);
        assert.notEqual(state, 'off');
        assert.equal(await sumOfFile(await diskPath(daemon, name)), await sumOfPoint(made.id));
        await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: name }, query: { stop: 'true' } }));
      },
    });
  });

for (const point of points('backup.overwrite', ['look', 'disks', 'nvram', 'define', 'keep', 'publish']))
  test(`a restore over the VM survives a kill at ${point}`, { skip }, async () => {
    await killedRun({
      point,
      async prepare(daemon) {
        await change(daemon);
        const made = await backUp(daemon);
        await change(daemon);
        return { made, sum: await sumOfFile(await diskPath(daemon, NAME)) };
      },
      ask: (daemon, { made }) =>
        daemon.admin('POST /restore-points/{id}/overwrite', { params: { id: made.id }, body: { confirm: NAME } }),
      async check(daemon, operation, { made, sum }) {
        assert.equal(await sumOfFile(await diskPath(daemon, NAME)), await sumOfPoint(made.id));
        const kept = join(stateDir, 'quarantine', operation.id);
        const [disk = ''] = (await readdir(kept)).filter((name) => name.endsWith('.qcow2'));
        assert.equal(await sumOfFile(join(kept, disk)), sum, 'the disk of before is kept');
      },
    });
  });

/** Keeps the last point of the VM; it never runs by itself while the tests do. */
async function keepOne(daemon: TestDaemon): Promise<void> {
  const name = 'keep-one';
  if ((await daemon.admin('GET /backup-schedules')).items.some((schedule) => schedule.name === name)) return;
  await daemon.admin('POST /backup-schedules', {
    body: {
      name,
      calendar: '0 3 29 2 *',
      catchUp: false,
      proof: 'never',
      retention: { last: 1, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
    },
  });
}

for (const point of points('repository.prune', ['decide', 'sweep']))
  test(`what the retention keeps survives a kill at ${point}, and the rest goes`, { skip }, async () => {
    await killedRun({
      point,
      async prepare(daemon) {
        await keepOne(daemon);
        for (let n = 0; n < 2; n += 1) {
          await change(daemon);
          await backUp(daemon);
        }
        await change(daemon);
        return { kept: await backUp(daemon), sum: await sumOfFile(await diskPath(daemon, NAME)) };
      },
      ask: (daemon) =>
        daemon.admin('POST /backup-retention/run', { body: { repository: 'default', allowLarge: true } }),
      async check(daemon, _operation, { kept, sum }) {
        const left = (await daemon.admin('GET /restore-points', { query: { vm: NAME } })).items;
        assert.deepEqual(
          left.map(({ id }) => id),
          [kept.id],
        );
        assert.equal(await sumOfPoint(kept.id), sum);
        const next = await backUp(daemon);
        assert.notEqual(next.disks[0]?.mode, 'full', `the next one counts from it: ${next.disks[0]?.reason}`);
      },
    });
  });
