/** Healing on a real libvirtd with real guests (TCG): QEMUs are killed, storage runs full, pools are found inactive, and people get in between. */

import assert from 'node:assert/strict';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HealingAct } from '#contract/healing.ts';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { guestShell } from '../support/guest-shell.ts';
import { hvOn } from '../support/hv.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

const small = (name: string): VmCreateInput => ({
  name,
  memoryBytes: 32 * MIB,
  vcpus: 1,
  accel: 'tcg',
  graphics: false,
  firmware: 'bios',
  nics: [],
});

/** systemd for the daemon: the folder by which it shows itself, and a program that answers as `systemctl` does.
 *  @returns the folder of both the program and its units */
async function standInForSystemd(libvirtd: PrivateLibvirtd): Promise<string> {
  await mkdir(join(libvirtd.dir, 'run', 'systemd', 'system'), { recursive: true });
  const folder = join(libvirtd.dir, 'units');
  await mkdir(folder);
  const script = `#!/bin/sh
d='${folder}'
[ "$1" = --no-ask-password ] && shift
verb=$1
while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
[ $# -gt 0 ] && shift
case $verb in
show)
  for unit in "$@"; do
    if [ -e "$d/$unit" ]; then load=loaded; state=$(cat "$d/$unit"); else load=not-found; state=inactive; fi
    printf 'Id=%s\\nLoadState=%s\\nActiveState=%s\\n\\n' "$unit" $load "$state"
  done ;;
reset-failed) : ;;
start)
  echo "$1" >>"$d/started"
  if [ -e "$d/broken-$1" ]; then echo "Job for $1 failed." >&2; exit 1; fi
  echo active >"$d/$1" ;;
esac
`;
  await writeFile(join(folder, 'systemctl'), script, { mode: 0o755 });
  return folder;
}

describe('healing', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let daemon: TestDaemon;

  /** Where the program that stands for `systemctl` keeps its units, a file each with the state in it. */
  let unitsFolder: string;
  /** A file system of 24 MiB; there before the namespaces are made, so that libvirt, QEMU and hyperd see it. */
  let tight: string;

  before(async () => {
    tight = await mkdtemp(join(tmpdir(), 'hv-tight-'));
    await runChecked(['mount', '-t', 'tmpfs', '-o', 'size=24m,mode=711', 'tmpfs', tight], { timeoutMs: 10_000 });
    libvirtd = await startPrivateLibvirtd();
    unitsFolder = await standInForSystemd(libvirtd);
    daemon = await startDaemon({
      libvirtd,
      config: {
        healing: { restartDelaysSeconds: [2], services: ['virtlogd.service', 'helper.service', 'none.service'] },
      },
      env: { PATH: `${unitsFolder}:${process.env['PATH'] ?? ''}` },
    });
  });
  after(async () => {
    await daemon?.close();
    await libvirtd?.close();
    await runChecked(['umount', tight], { timeoutMs: 10_000 });
    await rm(tight, { recursive: true, maxRetries: 20, retryDelay: 100 });
  });

  const show = (id: string): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id } });
  const create = async (body: VmCreateInput): Promise<Vm> => {
    await daemon.finish(await daemon.admin('POST /vms', { body }));
    return show(body.name);
  };
  const until = async <Value>(what: string, ms: number, look: () => Promise<Value | null | false>): Promise<Value> => {
    const end = performance.now() + ms;
    for (;;) {
      const found = await look();
      if (found !== null && found !== false) return found;
      if (performance.now() > end)
        throw new Error(`${what} did not happen within ${ms} ms\n${daemon.output().slice(-3000)}`);
      await sleep(50);
    }
  };
  const inState = (id: string, state: Vm['state'], ms = 30_000) =>
    until(`${id} is ${state}`, ms, async () => {
      const vm = await show(id);
      return vm.state === state && vm;
    });
  const acts = async (object: string): Promise<readonly HealingAct[]> =>
    (await daemon.admin('GET /healing/acts', { query: { object } })).items.toReversed();
  const results = async (object: string) => (await acts(object)).map(({ result }) => result);
  const withResult = (object: string, result: HealingAct['result'], ms = 30_000) =>
    until(`${result} of ${object}`, ms, async () => (await acts(object)).find((act) => act.result === result) ?? null);
  const killQemu = (name: string) => process.kill(libvirtd.qemuPid(name), 'SIGKILL');
  const startsOf = async (vmId: string) =>
    (await daemon.admin('GET /operations', { query: { objectId: vmId, kind: 'vm.start' } })).items;
  /** Lets healing look at everything several times: another VM crashes and is back. */
  const markers = new Set<string>();
  const whileAnotherIsHealed = async () => {
    const name = `marker-${markers.size}`;
    markers.add(name);
    const { id } = await create(small(name));
    killQemu(name);
    await withResult(id, 'done');
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
  };
  const mode = (id: HealingAct['action'], value: 'off' | 'observe' | 'act') =>
    daemon.admin('PATCH /healing/actions/{id}', { params: { id }, body: { mode: value } });

  test('a VM whose QEMU was killed runs again after its delay, by an operation of system:healing with both audit records', async () => {
    const { id } = await create(small('crashed'));
    const killedMs = performance.now();
    killQemu('crashed');
    await inState(id, 'crashed');
    await inState(id, 'running');
    const tookMs = performance.now() - killedMs;
    console.log(`# count: a killed QEMU was back after ${Math.round(tookMs)} ms, delay 2000 ms`);
    assert.ok(tookMs >= 2_000, `it waited for its delay, ${tookMs} ms`);
    const act = await withResult(id, 'done');
    const [start] = await startsOf(id);
    assert.equal(start?.actor, 'system:healing');
    assert.equal(act.operationId, start?.id);
    const records = (await daemon.admin('GET /audit', { query: { limit: 1000 } })).items.filter(
      ({ operationId }) => operationId === start?.id,
    );
    assert.deepEqual(records.map(({ phase, outcome, actor }) => [phase, outcome, actor]).sort(), [
      ['intent', null, 'system:healing'],
      ['outcome', 'done', 'system:healing'],
    ]);
    const notice = await until(
      'a message',
      10_000,
      async () => (await daemon.admin('GET /notices')).items.find(({ title }) => title.includes('crashed')) ?? null,
    );
    assert.equal(notice.severity, 'warning');
  });

  test('a crash loop is ended after five starts in an hour with a critical message, and a person can start it again', async () => {
    const { id } = await create(small('loop'));
    for (let n = 1; n <= 5; n += 1) {
      killQemu('loop');
      await until(
        `restart ${n}`,
        60_000,
        async () => (await results(id)).filter((result) => result === 'done').length === n,
      );
      await inState(id, 'running');
    }
    killQemu('loop');
    const end = await withResult(id, 'gave_up');
    assert.match(end.text, /5 times within an hour/);
    await whileAnotherIsHealed();
    assert.equal((await show(id)).state, 'crashed');
    assert.equal((await startsOf(id)).length, 5);
    const critical = await until(
      'a critical message',
      10_000,
      async () =>
        (await daemon.admin('GET /notices')).items.find(
          ({ severity, title }) => severity === 'critical' && title.includes('loop'),
        ) ?? null,
    );
    assert.equal(critical.project, 'default');
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
    assert.equal((await show(id)).state, 'running');
  });

  test('what a person ends stays ended: by a stop, by virsh, and by a stop while the delay runs', async () => {
    const { id: stopped } = await create(small('stopped'));
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: stopped } }));
    const { id: destroyed } = await create(small('destroyed'));
    await libvirtd.virsh('destroy', 'destroyed');
    const { id: between } = await create(small('between'));
    killQemu('between');
    await inState(between, 'crashed');
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: between } }));
    await whileAnotherIsHealed();
    for (const id of [stopped, destroyed, between]) {
      assert.ok(['off', 'crashed'].includes((await show(id)).state), id);
      assert.deepEqual(await startsOf(id), []);
    }
    assert.deepEqual(await results(between), ['ended']);
  });

  test('an edit by a person while the delay runs ends healing too', async () => {
    const { id } = await create(small('edited'));
    killQemu('edited');
    await inState(id, 'crashed');
    await daemon.finish(await daemon.admin('PATCH /vms/{id}', { params: { id }, body: { title: 'looked at' } }));
    await withResult(id, 'ended');
    await whileAnotherIsHealed();
    assert.equal((await show(id)).state, 'crashed');
    assert.deepEqual(await startsOf(id), []);
  });

  test('a missing disk is told and waited for; observing starts nothing; a VM can have a mode of its own', async () => {
    const { id } = await create({ ...small('diskless'), disks: [{ sizeBytes: MIB }] });
    const file = (await show(id)).disks[0]?.source ?? '';
    const path = join(daemon.stateDir, 'disks', file);
    await rename(path, `${path}-away`);
    killQemu('diskless');
    assert.match((await withResult(id, 'held')).text, /is missing/);
    await rename(`${path}-away`, path);
    await withResult(id, 'done');
    await daemon.admin('PATCH /vms/{id}/healing', { params: { id }, body: { action: 'vm-restart', mode: 'observe' } });
    killQemu('diskless');
    await withResult(id, 'would_have');
    await whileAnotherIsHealed();
    assert.equal((await show(id)).state, 'crashed');
    await daemon.admin('PATCH /vms/{id}/healing', { params: { id }, body: { action: 'vm-restart', mode: 'act' } });
    await inState(id, 'running');
  });

  test('a VM that another program made is never started', async () => {
    const { id } = await create(small('foreign-to-be'));
    const xml = (await libvirtd.virsh('dumpxml', 'foreign-to-be'))
      .replace(/<uuid>.*<\/uuid>/, '<uuid>11111111-2222-4333-8444-555555555555</uuid>')
      .replace('<name>foreign-to-be</name>', '<name>foreign</name>')
      .replace(/<metadata>[\s\S]*?<\/metadata>/, '')
      .replace(/<serial[\s\S]*?<\/serial>/g, '')
      .replace(/<console[\s\S]*?<\/console>/g, '')
      .replace(/<channel[\s\S]*?<\/channel>/g, '');
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id }, query: { stop: 'true' } }));
    const file = join(libvirtd.dir, 'foreign.xml');
    await writeFile(file, xml);
    await libvirtd.virsh('define', file);
    await libvirtd.virsh('start', 'foreign');
    await inState('foreign', 'running');
    killQemu('foreign');
    await inState('foreign', 'crashed');
    await whileAnotherIsHealed();
    assert.equal((await show('foreign')).state, 'crashed');
    await libvirtd.virsh('undefine', 'foreign');
  });

  test('a guest that shuts itself down stays off', async () => {
    await daemon.finish(
      await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'hello' } }),
    );
    const imageId = (await daemon.admin('GET /images/{id}', { params: { id: 'hello' } })).id;
    const { id } = await create({ ...small('leaving'), memoryBytes: 192 * MIB, disks: [{ imageId }] });
    const shell = await guestShell(libvirtd, 'leaving');
    // The answer goes down with the guest.
    await shell.run('poweroff').catch(() => undefined);
    await inState(id, 'off', 60_000);
    await whileAnotherIsHealed();
    assert.equal((await show(id)).state, 'off');
    assert.deepEqual(await results(id), []);
  });

  test('a VM that ran out of space is resumed once there is space again, and not before', async () => {
    await mode('vm-resume', 'act');
    const imageId = (await daemon.admin('GET /images/{id}', { params: { id: 'hello' } })).id;
    const { id } = await create({
      ...small('starved'),
      memoryBytes: 192 * MIB,
      disks: [{ imageId }, { sizeBytes: 32 * MIB, format: 'raw' }],
      start: false,
    });
    const disk = join(
      daemon.stateDir,
      'disks',
      (await show(id)).disks.find(({ format, device }) => format === 'raw' && device === 'disk')?.source ?? '',
    );
    await runChecked(['cp', '--sparse=always', disk, join(tight, 'disk.raw')], { timeoutMs: 10_000 });
    await rm(disk);
    await symlink(join(tight, 'disk.raw'), disk);
    await runChecked(['fallocate', '-l', String(16 * MIB), join(tight, 'filler')], { timeoutMs: 10_000 });
    await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id } }));
    const shell = await guestShell(libvirtd, 'starved');
    const writing = shell.run('dd if=/dev/urandom of=/dev/vdb bs=64k count=240 2>&1 && sync && echo written');
    // While the guest stands still its agent is silent; the answer is asked for again below.
    writing.catch(() => undefined);
    await inState(id, 'paused', 60_000);
    assert.equal((await show(id)).stateReason, 'io_error');
    assert.match((await withResult(id, 'held')).text, /more than 5 % are free/);
    await whileAnotherIsHealed();
    assert.equal((await show(id)).state, 'paused', 'it is not resumed into a full disk');
    await rm(join(tight, 'filler'));
    await withResult(id, 'done');
    await inState(id, 'running');
    const after = await guestShell(libvirtd, 'starved');
    const { text } = await after.run('while pidof dd >/dev/null; do sleep 0.2; done; sync; echo written');
    assert.match(text, /written/);
    assert.equal((await show(id)).state, 'running');
    await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id } }));
  });

  test('a pool that starts with the host is started again; one that somebody stopped is left alone; a missing folder is waited for', async () => {
    await mode('pool-start', 'act');
    const folders = ['pool-broken', 'pool-wish'].map((name) => join(libvirtd.dir, name));
    for (const [n, name] of ['broken', 'wish'].entries()) {
      await mkdir(folders[n] ?? '');
      await libvirtd.virsh('pool-define-as', name, 'dir', '--target', folders[n] ?? '');
      await libvirtd.virsh('pool-autostart', name);
      await libvirtd.virsh('pool-start', name);
    }
    const pool = (id: string) => daemon.admin('GET /pools/{id}', { params: { id } });
    await until(
      'both are active',
      20_000,
      async () =>
        (await daemon.admin('GET /pools')).items.filter(
          ({ name, state }) => ['broken', 'wish'].includes(name) && state === 'active',
        ).length === 2,
    );
    // Its folder goes away under it: libvirt stops using it at the next look.
    await rename(folders[0] ?? '', `${folders[0]}-away`);
    await libvirtd.virsh('pool-refresh', 'broken').catch(() => undefined);
    await libvirtd.virsh('pool-destroy', 'wish');
    const { id: broken } = await pool('broken');
    const { id: wish } = await pool('wish');
    await withResult(wish, 'ended');
    assert.match((await withResult(broken, 'held')).text, /is missing/);
    await rename(`${folders[0]}-away`, folders[0] ?? '');
    await withResult(broken, 'done', 60_000);
    assert.equal((await pool('broken')).state, 'active');
    assert.equal((await pool('wish')).state, 'inactive');
  });

  test('a NIC that libvirt switched off, because the rules of an address could not be made, is found, told of, and mended', async () => {
    const inside = async (...argv: readonly string[]) =>
      (await runChecked(libvirtd.enter(argv), { timeoutMs: 20_000 })).stdout;
    // What ebtables, iptables and the like are. libvirt calls it for each rule; one of the new address fails as long as the file is there.
    const [real = ''] = (await inside('readlink', '-f', '/usr/sbin/ebtables')).split('\n');
    const folder = join(libvirtd.dir, 'tables');
    const breaks = join(folder, 'breaks');
    const standIn = join(folder, 'stand-in');
    await mkdir(folder);
    await copyFile(real, join(folder, 'real'));
    const script = `#!/bin/sh
if [ -e '${breaks}' ]; then case "$0 $*" in */ebtables*192.168.*) echo 'RULE_DELETE failed' >&2; exit 4 ;; esac; fi
exec '${folder}/real' "$(basename "$0")" "$@"
`;
    await writeFile(standIn, script, { mode: 0o755 });
    await chmod(join(folder, 'real'), 0o755);
    await inside('mount', '--bind', standIn, real);
    await writeFile(breaks, '');

    await daemon.finish(
      await daemon.admin('POST /images/import', { body: { path: await helloDisk(), name: 'netted' } }),
    );
    const vm = await create({
      ...{ name: 'netted', firmware: 'bios', accel: 'tcg', memoryBytes: 256 * MIB, vcpus: 1 },
      disks: [{ imageId: 'netted' }],
    });
    const device = (await show(vm.id)).nics[0]?.device ?? assert.fail('it has no device on the host');
    const isOn = async () => (Number(await inside('cat', `/sys/class/net/${device}/flags`)) & 1) === 1;
    await until('libvirt switched it off', 90_000, async () => !(await isOn()));
    const check = async () => {
      await daemon.finish(await daemon.admin('POST /health/run'));
      return (await daemon.admin('GET /health')).results.find(({ id }) => id === 'vms.nics');
    };
    assert.deepEqual(
      (({ status, items }) => [status, items.find(({ name }) => name === 'netted')?.status])(
        (await check()) ?? assert.fail('no such check'),
      ),
      ['fail', 'fail'],
    );
    await withResult(vm.id, 'would_have', 60_000);
    assert.equal(await isOn(), false, 'it was only looked at');

    await rm(breaks);
    await mode('nic-up', 'act');
    await withResult(vm.id, 'done', 180_000);
    assert.equal(await isOn(), true);
    const address = await until(
      'its address is known',
      60_000,
      async () => (await show(vm.id)).nics[0]?.addresses[0]?.address ?? null,
    );
    assert.match(await inside('nft', 'list', 'ruleset', 'bridge'), new RegExp(`ip saddr ${address} `));
    // A port of a bridge listens for loops before it forwards.
    const shell = await guestShell(libvirtd, 'netted');
    await until('the guest reaches its gateway', 90_000, async () =>
      (await shell.run('ping -c 1 -W 2 192.168.122.1 >/dev/null && echo through')).text.includes('through'),
    );
    assert.equal((await check())?.status, 'ok');
    await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } }));
  });

  test('a listed service that failed is only told of, until it may be started; one that somebody stopped stays so', async () => {
    const unit = (name: string, state: string) => writeFile(join(unitsFolder, name), `${state}\n`);
    const started = async () =>
      (await readFile(join(unitsFolder, 'started'), 'utf8').catch(() => '')).split('\n').slice(0, -1);
    await unit('helper.service', 'failed');
    await unit('virtlogd.service', 'inactive');
    await unit('other.service', 'failed');
    await withResult('helper.service', 'would_have', 60_000);
    assert.deepEqual(await started(), []);
    await mode('service-start', 'act');
    const act = await withResult('helper.service', 'done', 60_000);
    assert.equal(act.objectType, 'service');
    assert.deepEqual(await started(), ['helper.service']);
    const operation = await daemon.admin('GET /operations/{id}', { params: { id: act.operationId ?? '' } });
    assert.equal(operation.actor, 'system:healing');
    assert.equal(operation.kind, 'healing.service-start');
    // One that does not come up: the try is told as failed, with where to look.
    await writeFile(join(unitsFolder, 'broken-virtlogd.service'), '');
    await unit('virtlogd.service', 'failed');
    const failed = await withResult('virtlogd.service', 'failed', 60_000);
    assert.match(failed.text, /systemd could not start virtlogd\.service.*journalctl -b -u virtlogd/s);
    await rm(join(unitsFolder, 'broken-virtlogd.service'));
    await unit('virtlogd.service', 'active');
    assert.deepEqual(await started(), ['helper.service', 'virtlogd.service']);
    await mode('service-start', 'observe');
  });

  test('while it is paused healing does nothing and says so; ended before its time, it goes on', async () => {
    const { id } = await create(small('maintained'));
    const paused = await hvOn(daemon, ['heal', 'pause', '--for', '2h', '--reason', 'new disks']);
    assert.equal(paused.code, 0, paused.stderr);
    assert.match(paused.stdout + paused.stderr, /healing is paused until .*: new disks/);
    killQemu('maintained');
    const held = await withResult(id, 'held');
    assert.match(held.text, /Healing is paused until .* \(new disks\)\.$/);
    const list = await hvOn(daemon, ['heal', 'list']);
    assert.match(list.stdout + list.stderr, /healing is paused until/);
    assert.equal((await daemon.admin('GET /healing/actions')).pause?.reason, 'new disks');
    assert.equal((await show(id)).state, 'crashed');
    assert.deepEqual(await startsOf(id), []);
    await assert.rejects(daemon.operator('DELETE /healing/pause'), /settings\.change/);
    assert.equal((await hvOn(daemon, ['heal', 'resume'])).code, 0);
    await withResult(id, 'done');
    await inState(id, 'running');
    assert.equal((await daemon.admin('GET /healing/actions')).pause, null);
    const records = (await daemon.admin('GET /audit', { query: { limit: 1000 } })).items.map(({ action }) => action);
    for (const action of ['POST /healing/pause', 'DELETE /healing/pause']) assert.ok(records.includes(action), action);
    const missing = await hvOn(daemon, ['heal', 'pause']);
    assert.notEqual(missing.code, 0);
  });

  test('what only looks may read, and may not set', async () => {
    assert.ok((await daemon.operator('GET /healing/acts')).items.length > 0);
    assert.ok((await daemon.operator('GET /healing/actions')).items.length > 0);
    await assert.rejects(
      daemon.operator('PATCH /healing/actions/{id}', { params: { id: 'vm-restart' }, body: { mode: 'off' } }),
      /settings\.change/,
    );
  });
});
