/** hyperd is killed before, in and after every step of every operation that makes, changes or removes a VM. After a restart nothing may be
 *  lost, doubled or left without an owner. The kill points are injected (HV_KILL_POINT); a part of the runs kills libvirtd too. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '#contract/operations.ts';
import type { VmCreateInput } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { killPoints } from '../support/kill-points.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';
import { assertSettled } from '../support/settled.ts';

const skip = missingForLibvirtd() ?? false;
const isFull = process.env['HV_TEST_FULL'] === '1';
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);

let libvirtd: PrivateLibvirtd;
let stateDir: string;
let counter = 0;
const counts = { points: 0, pointsInAll: 0, kills: 0, accepted: 0, done: 0, undone: 0, libvirtdKills: 0 };

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd();
  stateDir = await mkdtemp(join(libvirtd.dir, 'state-'));
});
after(async () => {
  await libvirtd?.close();
  console.log(
    `# count: seed ${seed}: ${counts.points} of ${counts.pointsInAll} kill points; ${counts.kills} kills of hyperd, ${counts.libvirtdKills} of libvirtd; ${counts.accepted} operations accepted, ${counts.done} done, ${counts.undone} undone, 0 lost, 0 orphans`,
  );
});

/** A small generator with a printed seed, so that a failure can be repeated. */
function random(): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const next = random();

const spec = (name: string): VmCreateInput => ({
  name,
  memoryBytes: 32 * MIB,
  vcpus: 1,
  accel: 'tcg',
  graphics: false,
  disks: [{ sizeBytes: 8 * MIB }, { sizeBytes: 4 * MIB, format: 'raw' }],
  nics: [{}],
  cloudInit: { sshKeys: [] },
});

const start = (killPoint: string | null): Promise<TestDaemon> =>
  startDaemon({ libvirtd, stateDir, ...(killPoint === null ? {} : { env: { HV_KILL_POINT: killPoint } }) });

/** Sends the request and waits for the kill. The answer may get lost with the daemon; then the operation counts only if it was journalled. */
async function untilKilled(
  daemon: TestDaemon,
  ask: (daemon: TestDaemon) => Promise<Operation>,
): Promise<Operation | null> {
  let operation: Operation | null = null;
  try {
    operation = await ask(daemon);
    counts.accepted += 1;
  } catch (error) {
    // Only the connection may fail here, not the request.
    assert.doesNotMatch(String(error), /ApiProblem/, String(error));
  }
  const how = await Promise.race([daemon.exited, sleep(60_000).then(() => 'alive')]);
  assert.equal(how, 'SIGKILL', `the kill point was not reached\n${daemon.output().slice(-2000)}`);
  counts.kills += 1;
  return operation;
}

async function newest(daemon: TestDaemon, kind: string): Promise<Operation | null> {
  return (await daemon.admin('GET /operations', { query: { kind, limit: 1 } })).items[0] ?? null;
}

const filesIn = async (folder: string): Promise<string[]> =>
  existsSync(join(stateDir, folder)) ? (await readdir(join(stateDir, folder))).sort() : [];

/** The world against what the operations say: reliability's six counts. */
async function assertWhole(daemon: TestDaemon, expected: readonly string[]): Promise<void> {
  const operations = (await daemon.admin('GET /operations')).items;
  for (const operation of operations)
    assert.ok(['done', 'failed', 'cancelled'].includes(operation.state), `${operation.title} is ${operation.state}`);
  const domains = (await libvirtd.virsh('list', '--all', '--name'))
    .split('\n')
    .filter((name) => name !== '')
    .sort();
  assert.deepEqual(domains, [...expected].sort(), 'domains');
  const vms = (await daemon.admin('GET /vms')).items;
  assert.deepEqual(
    vms.map((vm) => vm.name),
    domains,
    'what the API shows',
  );
  assert.ok(
    vms.every((vm) => vm.managed && vm.operationId === null),
    'every VM is ours and idle',
  );
  const trash = (await daemon.admin('GET /trash')).items;

  const disks = await filesIn('disks');
  const used = vms.flatMap((vm) => vm.disks.flatMap((disk) => (disk.source === null ? [] : [disk.source]))).sort();
  assert.deepEqual(disks, used, 'disk files and disks of VMs');
  assert.deepEqual(
    (await filesIn('scratch')).filter((name) => name.startsWith('seed-')),
    [],
    'left seeds',
  );
  const nvram = await filesIn('nvram');
  assert.ok(
    nvram.every((name) => vms.some((vm) => `${vm.id}.fd` === name)),
    `firmware variables without VM: ${nvram.join()}`,
  );
  assert.deepEqual(await filesIn('trash'), trash.map((item) => item.id).sort(), 'trash folders');
  const undone = operations.filter((operation) => operation.state !== 'done').map((operation) => operation.id);
  for (const name of await filesIn('quarantine'))
    assert.ok(undone.includes(name), `quarantine ${name} belongs to no failed operation`);

  const database = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true });
  try {
    assert.equal(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok');
    assertSettled(database);
    const rows = database
      .prepare('SELECT uuid FROM vm')
      .all()
      .map((row) => String(row['uuid']))
      .sort();
    assert.deepEqual(rows, vms.map((vm) => vm.id).sort(), 'rows and VMs');
  } finally {
    database.close();
  }
}

interface KilledRun<Prepared> {
  readonly point: string;
  /** Makes what the run needs, by operations of other kinds. */
  prepare(daemon: TestDaemon): Promise<Prepared>;
  ask(daemon: TestDaemon, prepared: Prepared): Promise<Operation>;
  check(daemon: TestDaemon, prepared: Prepared): Promise<void>;
}

/** Kills at one point, restarts, waits for the end, compares the world. */
async function killedRun<Prepared>({ point, prepare, ask, check }: KilledRun<Prepared>): Promise<void> {
  const kind = point.split(':')[0] ?? '';
  const victim = await start(point);
  let accepted: Operation | null;
  let prepared: Prepared;
  try {
    prepared = await prepare(victim);
    const ready = prepared;
    accepted = await untilKilled(victim, (daemon) => ask(daemon, ready));
  } finally {
    await victim.close();
  }
  if (next() < 0.25) {
    await libvirtd.kill();
    await libvirtd.restart();
    counts.libvirtdKills += 1;
  }
  const daemon = await start(null);
  try {
    const operation = accepted ?? (await newest(daemon, kind));
    assert.ok(operation, 'the operation was journalled before its first step');
    await daemon.finish(operation, 'done');
    counts.done += 1;
    await check(daemon, prepared);
    await clear(daemon);
    await assertWhole(daemon, []);
  } catch (error) {
    // One failed run must not spoil those after it.
    await clear(daemon).catch(() => undefined);
    throw error;
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

const nothing = async (): Promise<null> => null;

async function made(daemon: TestDaemon, name: string): Promise<string> {
  await daemon.finish(await daemon.admin('POST /vms', { body: spec(name) }));
  return (await daemon.admin('GET /vms/{id}', { params: { id: name } })).id;
}

async function madeAndStopped(daemon: TestDaemon, name: string): Promise<string> {
  const id = await made(daemon, name);
  await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id } }));
  return id;
}

async function trashed(daemon: TestDaemon, name: string): Promise<{ id: string; trashId: string; sums: string[] }> {
  const id = await made(daemon, name);
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
  const trashId = (await daemon.admin('GET /trash')).items[0]?.id ?? '';
  return { id, trashId, sums: await diskSums(join(stateDir, 'trash', trashId)) };
}

/** Deletes everything, so that the next run begins with nothing. */
async function clear(daemon: TestDaemon): Promise<void> {
  for (const vm of (await daemon.admin('GET /vms')).items) {
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } }));
  }
  for (const item of (await daemon.admin('GET /trash')).items) {
    await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: item.id } }));
  }
}

const diskSums = async (folder: string): Promise<string[]> => {
  const sums: string[] = [];
  for (const name of await readdir(folder)) {
    if (/-\d+\.(qcow2|raw)$/.test(name))
      sums.push(
        createHash('sha256')
          .update(await readFile(join(folder, name)))
          .digest('hex'),
      );
  }
  return sums.sort();
};

const nameFor = (what: string): string => {
  counter += 1;
  return `${what}-${counter}`;
};

for (const point of points('vm.create', ['prepare', 'disks', 'seed', 'network', 'define', 'start', 'publish'])) {
  test(`create survives a kill at ${point}`, { skip }, async () => {
    const name = nameFor('made');
    if (point.includes(':network:')) {
      await libvirtd.virsh('net-destroy', 'default').catch(() => undefined);
      await libvirtd.virsh('net-undefine', 'default').catch(() => undefined);
    }
    await killedRun({
      point,
      prepare: nothing,
      ask: (daemon) => daemon.admin('POST /vms', { body: spec(name) }),
      async check(daemon) {
        await assertWhole(daemon, [name]);
        const vm = await daemon.admin('GET /vms/{id}', { params: { id: name } });
        assert.equal(vm.state, 'running');
        assert.equal(vm.disks.filter((disk) => disk.source !== null).length, 3);
      },
    });
  });
}

for (const point of points('vm.delete', ['look', 'stop', 'keep', 'undefine', 'move', 'release'])) {
  test(`delete survives a kill at ${point}`, { skip }, async () => {
    const name = nameFor('gone');
    await killedRun({
      point,
      async prepare(daemon) {
        const id = await madeAndStopped(daemon, name);
        const sums = await diskSums(join(stateDir, 'disks'));
        await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
        return { id, sums };
      },
      ask: (daemon, { id }) => daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }),
      async check(daemon, { id, sums }) {
        await assertWhole(daemon, []);
        const [item] = (await daemon.admin('GET /trash')).items;
        assert.equal(item?.vmId, id);
        const kept = await diskSums(join(stateDir, 'trash', item?.id ?? ''));
        assert.deepEqual(kept, sums, 'every byte of the disks is in the trash');
      },
    });
  });
}

for (const point of points('vm.restore', ['move', 'define', 'release'])) {
  test(`restore survives a kill at ${point}`, { skip }, async () => {
    const name = nameFor('back');
    await killedRun({
      point,
      prepare: (daemon) => trashed(daemon, name),
      ask: (daemon, { trashId }) => daemon.admin('POST /trash/{id}/restore', { params: { id: trashId } }),
      async check(daemon, { id, sums }) {
        await assertWhole(daemon, [name]);
        assert.deepEqual(await diskSums(join(stateDir, 'disks')), sums);
        assert.equal((await daemon.admin('GET /vms/{id}', { params: { id: name } })).id, id);
      },
    });
  });
}

for (const point of points('vm.purge', ['tpm', 'files', 'release'])) {
  test(`purge survives a kill at ${point}`, { skip }, async () => {
    const name = nameFor('purged');
    await killedRun({
      point,
      prepare: (daemon) => trashed(daemon, name),
      ask: (daemon, { trashId }) => daemon.admin('DELETE /trash/{id}', { params: { id: trashId } }),
      check: (daemon) => assertWhole(daemon, []),
    });
  });
}

for (const point of points('vm.edit', ['definition', 'rename', 'settings', 'publish'])) {
  test(`edit survives a kill at ${point}`, { skip }, async () => {
    const name = nameFor('edited');
    const body = { name: `${name}-new`, vcpus: 2, memoryBytes: 64 * MIB, description: 'new', autostart: true };
    await killedRun({
      point,
      prepare: (daemon) => madeAndStopped(daemon, name),
      ask: (daemon, id) => daemon.admin('PATCH /vms/{id}', { params: { id }, body }),
      async check(daemon, id) {
        await assertWhole(daemon, [body.name]);
        const {
          name: seen,
          vcpus,
          memoryBytes,
          description,
          autostart,
        } = await daemon.admin('GET /vms/{id}', { params: { id } });
        assert.deepEqual({ name: seen, vcpus, memoryBytes, description, autostart }, body);
      },
    });
  });
}

for (const point of points('vm.start', ['start'])) {
  test(`start survives a kill at ${point}`, { skip }, async () => {
    const name = nameFor('started');
    await killedRun({
      point,
      prepare: (daemon) => madeAndStopped(daemon, name),
      ask: (daemon, id) => daemon.admin('POST /vms/{id}/start', { params: { id } }),
      async check(daemon, id) {
        await assertWhole(daemon, [name]);
        assert.equal((await daemon.admin('GET /vms/{id}', { params: { id } })).state, 'running');
      },
    });
  });
}

const UNDONE = ['start', 'define', 'seed', 'disks'] as const;
for (const undone of isFull ? UNDONE : UNDONE.filter((_, n) => n % 2 === seed % 2)) {
  test(`a create that fails is undone, though a kill comes after the undoing of ${undone}`, { skip }, async () => {
    const name = nameFor('failed');
    const [program = '', ...addBridge] = libvirtd.enter(['ip', 'link', 'add', 'hvbr9', 'type', 'bridge']);
    const [, ...removeBridge] = libvirtd.enter(['ip', 'link', 'delete', 'hvbr9']);
    await runChecked([program, ...addBridge], { timeoutMs: 10_000 });
    const first = await start('vm.create:define:recorded');
    const accepted = await untilKilled(first, (daemon) =>
      daemon.admin('POST /vms', { body: { ...spec(name), nics: [{ bridge: 'hvbr9' }] } }),
    );
    await first.close();
    // Without its bridge the VM cannot start, so the operation fails and undoes itself.
    await runChecked([program, ...removeBridge], { timeoutMs: 10_000 });
    const second = await startDaemon({
      libvirtd,
      stateDir,
      waitFor: 'nothing',
      env: { HV_KILL_POINT: `vm.create:${undone}:undone` },
    });
    assert.equal(
      await Promise.race([second.exited, sleep(60_000).then(() => 'alive')]),
      'SIGKILL',
      second.output().slice(-2000),
    );
    counts.kills += 1;
    await second.close();
    const daemon = await start(null);
    try {
      assert.ok(accepted);
      const ended = await daemon.finish(accepted, 'failed');
      assert.equal(ended.error?.code, 'start_failed');
      counts.undone += 1;
      await assertWhole(daemon, []);
      assert.deepEqual(
        (await filesIn(join('quarantine', accepted.id))).filter((file) => !/-\d\.(qcow2|raw)$/.test(file)),
        [],
        'only the disks are kept',
      );
    } finally {
      await daemon.stop();
      await daemon.close();
    }
  });
}
