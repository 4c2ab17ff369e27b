/** VMs from birth to grave on a real libvirtd with real guests: created, run, edited, stopped, deleted, restored, purged. Also VMs that
 *  others made: seen at once, edited in the one field, otherwise unharmed. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, statfs, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Vm, VmCreateInput } from '#contract/vms.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk, microGuest } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const run = promisify(execFile);
const skip = missingForLibvirtd() ?? false;

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;

before(async () => {
  if (skip !== false) return;
  libvirtd = await startPrivateLibvirtd({ bridge: true });
  daemon = await startDaemon({ libvirtd });
  await importImage(await helloDisk(), 'hello');
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

async function importImage(path: string, name: string, kind?: 'iso' | 'disk' | 'kernel' | 'initrd'): Promise<string> {
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path, name, ...(kind ? { kind } : {}) } }));
  return (await daemon.admin('GET /images/{id}', { params: { id: name } })).id;
}

const show = (id: string): Promise<Vm> => daemon.admin('GET /vms/{id}', { params: { id } });

async function create(body: VmCreateInput): Promise<Vm> {
  await daemon.finish(await daemon.admin('POST /vms', { body }));
  return await show(body.name);
}

async function waitFor<Value>(what: string, ms: number, look: () => Promise<Value | null | false>): Promise<Value> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== null && found !== false) return found;
    if (performance.now() > end)
      throw new Error(`${what} did not happen within ${ms} ms\n${daemon.output().slice(-3000)}`);
    await sleep(100);
  }
}

const serialText = async (vm: Vm): Promise<string> => {
  const path = join(daemon.stateDir, 'serial', `${vm.id}.log`);
  return existsSync(path) ? await readFile(path, 'utf8') : '';
};

const isGone = async (name: string): Promise<boolean> =>
  !(await libvirtd.virsh('list', '--all', '--name')).split('\n').includes(name);

const sha256 = async (path: string): Promise<string> =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex');

/** Lines that only one of two texts has. */
function lineDifference(before: string, after: string): string[] {
  const [left, right] = [new Set(before.split('\n')), new Set(after.split('\n'))];
  return [
    ...[...left].filter((line) => !right.has(line)).map((line) => `-${line}`),
    ...[...right].filter((line) => !left.has(line)).map((line) => `+${line}`),
  ];
}

const HELLO: VmCreateInput = {
  name: 'web1',
  memoryBytes: 256 * MIB,
  vcpus: 1,
  firmware: 'bios',
  disks: [{ imageId: 'hello' }],
  accel: 'tcg',
};

test('on an empty host several VMs are made at once, with the pool and the network that they need', {
  skip,
}, async () => {
  const names = ['one', 'two', 'three', 'four'];
  const operations = await Promise.all(
    names.map((name) =>
      daemon.admin('POST /vms', {
        body: {
          name,
          memoryBytes: 32 * MIB,
          firmware: 'bios',
          disks: [{ sizeBytes: 4 * MIB }],
          graphics: false,
          accel: 'tcg',
        },
      }),
    ),
  );
  for (const operation of operations) await daemon.finish(operation);
  const vms = (await daemon.admin('GET /vms')).items;
  assert.deepEqual(vms.map((vm) => [vm.name, vm.state]).sort(), names.map((name) => [name, 'running']).sort());
  const deletions = await Promise.all(
    vms.map((vm) => daemon.admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } })),
  );
  for (const operation of deletions) await daemon.finish(operation);
  const purges = await Promise.all(names.map((name) => daemon.admin('DELETE /trash/{id}', { params: { id: name } })));
  for (const operation of purges) await daemon.finish(operation);
});

test('Secure Boot gets firmware with keys, and System Management Mode to guard them', { skip }, async () => {
  await create({
    name: 'secure1',
    memoryBytes: 256 * MIB,
    secureBoot: true,
    disks: [{ sizeBytes: 4 * MIB }],
    nics: [],
    accel: 'tcg',
  });
  const xml = await libvirtd.virsh('dumpxml', 'secure1');
  assert.match(xml, /<loader readonly='yes' secure='yes' type='pflash'>/);
  assert.match(xml, /<smm state='on'\/>/);
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'secure1' }, query: { stop: 'true' } }));
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: 'secure1' } }));
});

test('a VM is planned, created and run, gets an address, and the host reaches it', { skip }, async () => {
  const plan = await daemon.admin('POST /vms/plan', { body: HELLO });
  assert.deepEqual(
    plan.steps.map((step) => step.name),
    ['prepare', 'disks', 'network', 'define', 'start', 'publish'],
  );
  const vm = await create(HELLO);
  assert.equal(vm.state, 'running');
  assert.equal(vm.desired, 'running');
  assert.equal(vm.managed, true);
  assert.equal(vm.accel, 'tcg');
  assert.equal(vm.hasVnc, true);
  assert.deepEqual(vm.pending, []);
  await waitFor('HELLO-READY on serial', 90_000, async () => (await serialText(vm)).includes('HELLO-READY'));
  const address = await waitFor(
    'a lease',
    60_000,
    async () => (await show(vm.id)).nics[0]?.addresses[0]?.address ?? null,
  );
  // A refused connection is an answer of the guest: both ways work.
  const knock = `require('net').connect(9, '${address}').on('error', (error) => { console.log(error.code); }).setTimeout(5000, () => process.exit(1))`;
  const [program, ...args] = libvirtd.enter([process.execPath, '-e', knock]);
  assert.equal((await run(program, args)).stdout.trim(), 'ECONNREFUSED');
  await waitFor('the guest agent', 60_000, async () => (await show(vm.id)).agent === 'connected');
  const pools = await daemon.admin('GET /pools');
  const pool = pools.items.find((item) => item.name === 'hyper');
  assert.equal(pool?.volumes.find((volume) => volume.usedBy !== null)?.usedBy?.vmId, vm.id);
  const space = await statfs(join(daemon.stateDir, 'disks'));
  const unlikeDf = Math.abs((pool?.availableBytes ?? 0) - space.bavail * space.bsize);
  assert.ok(unlikeDf < 2 * GIB, `${pool?.availableBytes} bytes available, df says ${space.bavail * space.bsize}`);
  assert.deepEqual([pool?.state, pool?.autostart, pool?.isDefault, pool?.kind], ['active', true, true, 'dir']);
  const networks = await daemon.admin('GET /networks');
  const network = networks.items.find((item) => item.name === 'default');
  assert.deepEqual(network?.usedBy, [{ vmId: vm.id, name: 'web1', project: 'default' }]);
  assert.equal(network?.state, 'active');
  // No TCP listener for the screen.
  assert.match(await libvirtd.virsh('dumpxml', 'web1'), /<listen type='socket'/);
});

test('a running VM is edited: some fields at once, others at the next boot, stale edits not at all', {
  skip,
}, async () => {
  const before = await show('web1');
  const plan = await daemon.admin('POST /vms/{id}/plan', {
    params: { id: 'web1' },
    body: { vcpus: 2, memoryBytes: 192 * MIB, description: 'a & <b>' },
  });
  assert.deepEqual(Object.fromEntries(plan.changes.map((change) => [change.field, change.effect])), {
    description: 'live',
    vcpus: 'next_boot',
    memory: 'live',
  });
  await daemon.finish(
    await daemon.admin('PATCH /vms/{id}', {
      params: { id: 'web1' },
      body: { vcpus: 2, memoryBytes: 192 * MIB, description: 'a & <b>', autostart: true },
      headers: { 'if-match': `"${before.etag}"` },
    }),
  );
  const edited = await show('web1');
  assert.equal(edited.description, 'a & <b>');
  assert.equal(edited.autostart, true);
  assert.equal(edited.vcpus, 1);
  assert.deepEqual(
    edited.pending.filter((change) => change.field === 'vcpus'),
    [{ field: 'vcpus', now: '1', next: '2' }],
  );
  await assert.rejects(
    daemon.admin('PATCH /vms/{id}', {
      params: { id: 'web1' },
      body: { vcpus: 3 },
      headers: { 'if-match': `"${before.etag}"` },
    }),
    {
      message: /changed since/,
    },
  );
  await assert.rejects(
    daemon.admin('PATCH /vms/{id}', { params: { id: 'web1' }, body: { name: 'web2' } }),
    /only while it is off/,
  );
  await assert.rejects(daemon.admin('DELETE /vms/{id}', { params: { id: 'web1' } }), /is running/);
});

test('while somebody looks, the figures of a running VM are measured and sent', { skip }, async () => {
  const seen = await new Promise<Vm['usage']>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no figures within 40 s')), 40_000);
    const request = httpRequest(
      { socketPath: join(daemon.runtimeDir, 'admin.sock'), path: '/api/v1/events', headers: { host: 'localhost' } },
      (response) => {
        let text = '';
        response.on('data', (part: Buffer) => {
          text += part.toString();
          for (const match of text.matchAll(/event: vm\.changed\n(?:id: .*\n)?data: (.*)\n/g)) {
            const vm: Vm = JSON.parse(match[1] ?? '{}');
            if (vm.usage?.cpuRatio === null || vm.usage?.netReceiveBytesPerSecond === null || !vm.usage) continue;
            clearTimeout(timer);
            request.destroy();
            resolve(vm.usage);
          }
        });
      },
    );
    request.on('error', (error) => reject(error));
    request.end();
  });
  assert.ok(seen && seen.cpuRatio !== null && seen.cpuRatio >= 0 && seen.cpuRatio <= 1);
});

test('an ISO is put into the drive of a running VM and ejected again', { skip }, async () => {
  const folder = join(libvirtd.dir, 'iso');
  await mkdir(folder);
  await writeFile(join(folder, 'readme'), 'hello');
  const iso = join(libvirtd.dir, 'small.iso');
  await runChecked(['xorriso', '-as', 'mkisofs', '-quiet', '-volid', 'SMALL', '-o', iso, folder], {
    timeoutMs: 30_000,
  });
  const imageId = await importImage(iso, 'small', 'iso');
  const drive = (await show('web1')).disks.find((disk) => disk.device === 'cdrom');
  assert.equal(drive?.source, null);
  const put = async (id: string | null) =>
    daemon.finish(
      await daemon.admin('PATCH /vms/{id}', {
        params: { id: 'web1' },
        body: { cdrom: { target: drive?.target ?? '', imageId: id } },
      }),
    );
  await put(imageId);
  assert.equal((await show('web1')).disks.find((disk) => disk.device === 'cdrom')?.imageId, imageId);
  await put(null);
  assert.equal((await show('web1')).disks.find((disk) => disk.device === 'cdrom')?.source, null);
  await waitFor(
    'the balloon to give the memory back',
    30_000,
    async () => (await show('web1')).pending.map((change) => change.field).join() === 'vcpus',
  );
});

test('pause, resume, reset and reboot do what they say', { skip }, async () => {
  const act = async (verb: 'pause' | 'resume' | 'reset' | 'reboot') =>
    daemon.finish(await daemon.admin(`POST /vms/{id}/${verb}`, { params: { id: 'web1' } }));
  await act('pause');
  assert.equal((await show('web1')).state, 'paused');
  assert.equal((await show('web1')).desired, 'paused');
  await assert.rejects(daemon.admin('POST /vms/{id}/start', { params: { id: 'web1' } }), /is paused/);
  await act('resume');
  assert.equal((await show('web1')).state, 'running');
  const boots = async () => (await serialText(await show('web1'))).split('HELLO-READY').length - 1;
  const count = await boots();
  await act('reset');
  await waitFor('a boot after the reset', 90_000, async () => (await boots()) > count);
  await waitFor('the agent after the reset', 60_000, async () => (await show('web1')).agent === 'connected');
  await act('reboot');
  await waitFor('a boot after the reboot', 90_000, async () => (await boots()) > count + 1);
  assert.equal((await show('web1')).state, 'running');
});

test('the guest shuts down when asked; then it is renamed and started with its new vCPUs', { skip }, async () => {
  const done = await daemon.finish(
    await daemon.admin('POST /vms/{id}/shutdown', { params: { id: 'web1' }, body: { timeoutSeconds: 90 } }),
  );
  assert.equal(done.state, 'done');
  assert.equal((await show('web1')).state, 'off');
  assert.equal((await show('web1')).desired, 'off');
  await daemon.finish(
    await daemon.admin('PATCH /vms/{id}', { params: { id: 'web1' }, body: { name: 'web2', autostart: false } }),
  );
  assert.equal(await isGone('web1'), true);
  await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: 'web2' } }));
  const vm = await show('web2');
  assert.equal(vm.state, 'running');
  assert.equal(vm.vcpus, 2);
  assert.deepEqual(vm.pending, []);
});

test('a guest that ignores the button is left on, with the offer to stop it', { skip }, async () => {
  await create({
    name: 'deaf',
    memoryBytes: 64 * MIB,
    firmware: 'bios',
    disks: [{ sizeBytes: 8 * MIB }],
    nics: [],
    accel: 'tcg',
  });
  const operation = await daemon.admin('POST /vms/{id}/shutdown', {
    params: { id: 'deaf' },
    body: { timeoutSeconds: 2 },
  });
  const failed = await daemon.finish(operation, 'failed');
  assert.equal(failed.error?.code, 'guest_did_not_shut_down');
  assert.match(failed.error?.hint ?? '', /hv vm stop/);
  assert.equal((await show('deaf')).state, 'running');

  const waiting = await daemon.admin('POST /vms/{id}/shutdown', {
    params: { id: 'deaf' },
    body: { timeoutSeconds: 600 },
  });
  await assert.rejects(daemon.admin('POST /vms/{id}/pause', { params: { id: 'deaf' } }), /is not finished yet/);
  await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: 'deaf' } }));
  assert.equal((await show('deaf')).state, 'off');
  assert.equal((await daemon.finish(waiting, 'cancelled')).error?.detail, '"Stop deaf" took over.');
  const { items: records } = await daemon.admin('GET /audit', { query: { limit: 10 } });
  assert.equal(
    records.find(({ operationId, phase }) => operationId === waiting.id && phase === 'outcome')?.outcome,
    'cancelled',
  );
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'deaf' } }));
});

test('a deleted VM lies in the trash, comes back as it was, and is purged', { skip }, async () => {
  const vm = await show('web2');
  await daemon.finish(await daemon.admin('PATCH /vms/{id}', { params: { id: 'web2' }, body: { isProtected: true } }));
  await assert.rejects(
    daemon.admin('DELETE /vms/{id}', { params: { id: 'web2' }, query: { stop: 'true' } }),
    /is protected/,
  );
  await daemon.finish(
    await daemon.admin('PATCH /vms/{id}', {
      params: { id: 'web2' },
      body: { isProtected: false, tags: ['prod', 'db'] },
    }),
  );
  assert.deepEqual(
    (await daemon.admin('GET /vms', { query: { tag: 'db,prod' } })).items.map(({ name }) => name),
    ['web2'],
  );
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'web2' }, query: { stop: 'true' } }));
  assert.equal(await isGone('web2'), true);
  await assert.rejects(show('web2'), /no vm/i);
  const item = (await daemon.admin('GET /trash')).items.find((row) => row.name === 'web2');
  assert.ok(item);
  assert.equal(item.vmId, vm.id);
  assert.equal(item.disks.length, 1);
  assert.ok(Date.parse(item.purgeAt ?? '') - Date.parse(item.deletedAt) === 7 * 86_400_000);
  const trashFolder = join(daemon.stateDir, 'trash', item.id);
  const disk = (await readdir(trashFolder)).find((name) => name.endsWith('.qcow2')) ?? '';
  const sum = await sha256(join(trashFolder, disk));

  const mac = vm.nics[0]?.mac ?? '';
  await create({ ...HELLO, name: 'thief', disks: [], nics: [{ mac }], start: false });
  await assert.rejects(
    daemon.admin('POST /trash/{id}/restore', { params: { id: 'web2' } }),
    new RegExp(`thief.*has the address ${mac}`),
  );
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'thief' } }));
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: 'thief' } }));

  await daemon.finish(await daemon.admin('POST /trash/{id}/restore', { params: { id: 'web2' } }));
  const back = await show('web2');
  assert.equal(back.id, vm.id);
  assert.equal(back.nics[0]?.mac, vm.nics[0]?.mac);
  assert.equal(back.createdAt, vm.createdAt);
  assert.equal(back.managed, true);
  assert.deepEqual(back.tags, ['db', 'prod']);
  assert.equal(await sha256(join(daemon.stateDir, 'disks', disk)), sum);
  assert.equal(existsSync(trashFolder), false);
  assert.equal(
    (await daemon.admin('GET /trash')).items.some((row) => row.name === 'web2'),
    false,
  );

  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'web2' } }));
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: 'web2' } }));
  assert.equal(existsSync(join(daemon.stateDir, 'disks', disk)), false);
  assert.deepEqual(
    (await readdir(join(daemon.stateDir, 'trash'))).filter((name) => name !== (item?.id ?? '')).length,
    1,
    'only the deaf one is left',
  );
});

test('a VM that another program undefines waits in the trash, its disk in its place, until somebody decides', {
  skip,
}, async () => {
  await daemon.finish(
    await daemon.admin('POST /vms', {
      body: { name: 'stray', accel: 'tcg', firmware: 'bios', disks: [{ sizeBytes: 2 ** 20 }], nics: [], start: false },
    }),
  );
  const vm = await show('stray');
  const disk = join(daemon.stateDir, 'disks', vm.disks.find(({ device }) => device === 'disk')?.source ?? '');
  const inTrash = async () => (await daemon.admin('GET /trash')).items.find(({ name }) => name === 'stray');
  const problems = async () =>
    (await daemon.admin('GET /system/overview')).problems.filter(({ id }) => id === `vm.taken-away:${vm.id}`).length;
  const xml = await libvirtd.virsh('dumpxml', 'stray', '--inactive');
  const undefine = async () => {
    await libvirtd.virsh('undefine', 'stray');
    await waitFor('its way to the trash', 15_000, async () => (await inTrash()) ?? null);
  };

  await undefine();
  assert.deepEqual([(await inTrash())?.isTakenAway, (await inTrash())?.purgeAt], [true, null]);
  assert.equal(await problems(), 1);
  assert.ok(existsSync(disk));
  await daemon.finish(await daemon.admin('POST /trash/{id}/restore', { params: { id: 'stray' } }));
  const back = await show('stray');
  assert.deepEqual([back.id, back.managed, back.createdAt], [vm.id, true, vm.createdAt]);
  assert.equal(await problems(), 0);

  await undefine();
  const file = join(libvirtd.dir, 'stray.xml');
  await writeFile(file, xml);
  await libvirtd.virsh('define', file);
  await waitFor('its way out of the trash', 15_000, async () => (await inTrash()) === undefined);
  assert.equal((await show('stray')).managed, true);

  await undefine();
  const overlay = join(libvirtd.dir, 'overlay.qcow2');
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', disk, overlay], {
    timeoutMs: 20_000,
  });
  const foreign = join(libvirtd.dir, 'builder.xml');
  await writeFile(
    foreign,
    `<domain type='qemu'><name>builder</name><memory unit='MiB'>32</memory><os><type machine='q35'>hvm</type></os><devices>
       <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='${overlay}'/><target dev='vda'/></disk>
     </devices></domain>`,
  );
  await libvirtd.virsh('define', foreign);
  await waitFor('the sight of builder', 10_000, async () =>
    (await daemon.admin('GET /vms')).items.some(({ name }) => name === 'builder'),
  );
  const refused = await daemon.admin('DELETE /trash/{id}', { params: { id: 'stray' } });
  await assert.rejects(daemon.finish(refused), /build upon.*builder/);
  assert.ok(existsSync(disk));
  await libvirtd.virsh('undefine', 'builder');
  await waitFor('the end of builder', 10_000, async () =>
    (await daemon.admin('GET /vms')).items.every(({ name }) => name !== 'builder'),
  );
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: 'stray' } }));
  assert.equal(existsSync(disk), false);
  assert.equal(await inTrash(), undefined);
});

test('UEFI variables and the TPM go to the trash and come back with the VM', { skip }, async () => {
  const vm = await create({
    name: 'uefi1',
    memoryBytes: 256 * MIB,
    vcpus: 1,
    disks: [{ sizeBytes: 64 * MIB, format: 'raw' }],
    nics: [],
    tpm: true,
    accel: 'tcg',
    title: 'Title',
    isProtected: false,
  });
  assert.equal(vm.firmware, 'uefi');
  assert.equal(vm.hasTpm, true);
  const nvram = join(daemon.stateDir, 'nvram', `${vm.id}.fd`);
  assert.ok(existsSync(nvram));
  const tpm = libvirtd.mapPath(`/var/lib/libvirt/swtpm/${vm.id}`);
  assert.ok(existsSync(tpm));
  await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: 'uefi1' } }));
  const sum = await sha256(nvram);
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'uefi1' } }));
  assert.equal(existsSync(nvram), false);
  assert.ok(existsSync(tpm));
  await daemon.finish(await daemon.admin('POST /trash/{id}/restore', { params: { id: 'uefi1' } }));
  assert.equal(await sha256(nvram), sum);
  await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: 'uefi1' } }));
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'uefi1' }, query: { stop: 'true' } }));
  await daemon.finish(await daemon.admin('DELETE /trash/{id}', { params: { id: 'uefi1' } }));
  assert.equal(existsSync(tpm), false);
});

test('cloud-init data reaches the seed drive, and the password only as a hash, nowhere else', { skip }, async () => {
  const password = 'canary-7Zq!secret';
  const vm = await create({
    name: 'cloud1',
    memoryBytes: 128 * MIB,
    firmware: 'bios',
    disks: [{ imageId: 'hello', sizeBytes: 128 * MIB }],
    start: false,
    accel: 'tcg',
    cloudInit: {
      user: 'ana',
      sshKeys: ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKJ1 ana'],
      password,
      networkData: 'version: 2\n',
    },
  });
  const seed = vm.disks.find((disk) => disk.source?.endsWith('-seed.iso'))?.source ?? '';
  const out = join(libvirtd.dir, 'seed');
  await runChecked(
    ['xorriso', '-osirrox', 'on', '-indev', join(daemon.stateDir, 'disks', seed), '-extract', '/', out],
    { timeoutMs: 30_000 },
  );
  const userData = await readFile(join(out, 'user-data'), 'utf8');
  assert.match(userData, /passwd: \$6\$/);
  assert.equal(await readFile(join(out, 'network-config'), 'utf8'), 'version: 2\n');
  assert.equal(vm.disks.find((disk) => disk.device === 'disk')?.sizeBytes, 128 * MIB);
  const hash = /\$6\$[^\s"']+/.exec(userData)?.[0] ?? 'none';
  const stored = Buffer.concat([
    await readFile(join(daemon.stateDir, 'state.db')),
    await readFile(join(daemon.stateDir, 'state.db-wal')),
  ]).toString('latin1');
  for (const secret of [password, hash]) {
    assert.equal(userData.includes(password), false);
    assert.equal(stored.includes(secret), false, 'the journal holds the secret');
    assert.equal(daemon.output().includes(secret), false, 'the log holds the secret');
  }
  assert.deepEqual(
    (await readdir(join(daemon.stateDir, 'scratch'))).filter((name) => name.startsWith('seed-')),
    [],
  );
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: 'cloud1' } }));
});

test('a kernel and initrd boot directly, headless, on a bridge of the host', { skip }, async () => {
  const { kernel, initrd } = await microGuest();
  const kernelImageId = await importImage(kernel, 'kernel', 'kernel');
  const initrdImageId = await importImage(initrd, 'initrd', 'initrd');
  const vm = await create({
    name: 'direct1',
    memoryBytes: 192 * MIB,
    graphics: false,
    kernel: { kernelImageId, initrdImageId, commandLine: 'console=ttyS0 panic=-1' },
    nics: [{ bridge: 'hvbr0' }],
    accel: 'tcg',
  });
  assert.equal(vm.firmware, 'kernel');
  assert.equal(vm.hasVnc, false);
  assert.equal(vm.nics[0]?.source, 'hvbr0');
  await waitFor('kernel messages', 60_000, async () => (await serialText(vm)).includes('Linux version'));
  const bridge = await daemon.admin('GET /networks/{id}', { params: { id: 'hvbr0' } });
  assert.equal(bridge.kind, 'host_bridge');
  assert.deepEqual(bridge.usedBy, [{ vmId: vm.id, name: 'direct1', project: 'default' }]);
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } }));
});

test('a create that is cancelled while it copies its disk leaves nothing behind', { skip }, async () => {
  const big = join(libvirtd.dir, 'big.raw');
  await runChecked(['dd', 'if=/dev/urandom', `of=${big}`, 'bs=1M', 'count=400', 'status=none'], { timeoutMs: 60_000 });
  await importImage(big, 'big', 'disk');
  const disksBefore = await readdir(join(daemon.stateDir, 'disks'));
  const operation = await daemon.admin('POST /vms', {
    body: { ...HELLO, name: 'cancelled1', disks: [{ sizeBytes: 4 * MIB }, { imageId: 'big' }], cloudInit: {} },
  });
  await waitFor('the copy to begin', 10_000, async () =>
    (await readdir(join(daemon.stateDir, 'disks'))).some((name) => name.endsWith('.part')),
  );
  await daemon.admin('POST /operations/{id}/cancel', { params: { id: operation.id } });
  const ended = await daemon.finish(operation, 'cancelled');
  assert.equal(ended.steps.find((step) => step.name === 'define')?.state, 'pending');
  assert.deepEqual(await readdir(join(daemon.stateDir, 'disks')), disksBefore);
  assert.deepEqual(
    (await readdir(join(daemon.stateDir, 'scratch'))).filter((name) => name.startsWith('seed-')),
    [],
  );
  assert.equal(await isGone('cancelled1'), true);
  await daemon.finish(await daemon.admin('DELETE /images/{id}', { params: { id: 'big' } }));
});

const FOREIGN = (name: string, disk: string) => `<!-- made by hand -->
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>${name}</name>
  <metadata><other:thing xmlns:other='urn:other' keep='me'>text &amp; more</other:thing></metadata>
  <memory unit='MiB'>64</memory>
  <currentMemory unit='MiB'>32</currentMemory>
  <vcpu placement='static' current='1'>4</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
    <graphics type='vnc' port='-1' autoport='yes' passwd='s3cret'/>
  </devices>
  <qemu:commandline><qemu:arg value='-no-hpet'/></qemu:commandline>
</domain>`;

test('VMs of others appear within a second, keep everything but the edited field, and their disks are never touched', {
  skip,
}, async () => {
  const disk = join(libvirtd.dir, 'foreign.raw');
  await writeFile(disk, Buffer.alloc(MIB, 7));
  const file = join(libvirtd.dir, 'foreign.xml');
  await writeFile(file, FOREIGN('Strange &lt;Name&gt; &amp; co', disk));
  const startMs = performance.now();
  await libvirtd.virsh('define', file);
  const vm = await waitFor(
    'the foreign VM in the list',
    1000,
    async () => (await daemon.admin('GET /vms')).items.find((item) => item.name.startsWith('Strange')) ?? null,
  );
  console.log(`# count: foreign VM seen ${Math.round(performance.now() - startMs)} ms after virsh was called`);
  assert.equal(vm.managed, false);
  assert.equal(vm.state, 'off');
  const xmlBefore = await libvirtd.virsh('dumpxml', '--inactive', '--security-info', vm.id);
  await daemon.finish(await daemon.admin('PATCH /vms/{id}', { params: { id: vm.id }, body: { description: 'seen' } }));
  const xmlAfter = await libvirtd.virsh('dumpxml', '--inactive', '--security-info', vm.id);
  assert.deepEqual(lineDifference(xmlBefore, xmlAfter), ['+  <description>seen</description>']);
  assert.match(xmlAfter, /passwd='s3cret'/);
  const grow = { vcpus: 3, memoryBytes: 48 * MIB };
  await daemon.finish(await daemon.admin('PATCH /vms/{id}', { params: { id: vm.id }, body: grow }));
  const grown = await libvirtd.virsh('dumpxml', '--inactive', '--security-info', vm.id);
  assert.deepEqual(lineDifference(xmlAfter, grown), [
    "-  <currentMemory unit='KiB'>32768</currentMemory>",
    "-  <vcpu placement='static' current='1'>4</vcpu>",
    "+  <currentMemory unit='KiB'>49152</currentMemory>",
    "+  <vcpu placement='static' current='3'>4</vcpu>",
  ]);
  const shown = await daemon.admin('GET /vms/{id}', { params: { id: vm.id } });
  assert.equal(JSON.stringify(shown).includes('s3cret'), false);

  await libvirtd.virsh('start', vm.id);
  await waitFor('running', 1000, async () => (await show(vm.id)).state === 'running');
  await libvirtd.virsh('destroy', vm.id);
  await waitFor('off', 1000, async () => (await show(vm.id)).state === 'off');

  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id } }));
  assert.ok(existsSync(disk));
  const item = (await daemon.admin('GET /trash')).items.find((row) => row.vmId === vm.id);
  assert.deepEqual(item?.disks, []);
  await daemon.finish(await daemon.admin('POST /trash/{id}/restore', { params: { id: item?.id ?? '' } }));
  assert.deepEqual(lineDifference(grown, await libvirtd.virsh('dumpxml', '--inactive', '--security-info', vm.id)), []);
  assert.equal(
    (await readFile(disk)).every((byte) => byte === 7),
    true,
  );
  await libvirtd.virsh('undefine', vm.id);
  await waitFor('the foreign VM to go', 1000, async () =>
    (await daemon.admin('GET /vms')).items.every((item) => item.id !== vm.id),
  );
});

test('a killed QEMU shows as crashed, and a lost libvirtd as unknown with the old facts, until it is back', {
  skip,
}, async () => {
  const vm = await create({ ...HELLO, name: 'crash1', nics: [] });
  process.kill(libvirtd.qemuPid('crash1'), 'SIGKILL');
  await waitFor('crashed', 5000, async () => (await show(vm.id)).state === 'crashed');
  assert.equal((await show(vm.id)).desired, 'running');
  await libvirtd.kill();
  const stale = await waitFor('unknown', 10_000, async () => {
    const seen = await show(vm.id);
    return seen.state === 'unknown' && seen;
  });
  assert.equal(stale.memoryBytes, 256 * MIB);
  assert.notEqual(stale.staleSince, null);
  await assert.rejects(daemon.admin('POST /vms/{id}/start', { params: { id: vm.id } }), /not known/);
  await libvirtd.restart();
  await waitFor('known again', 30_000, async () => (await show(vm.id)).staleSince === null);
  // Nobody wanted it off, so it is healed.
  await waitFor('started again', 60_000, async () => (await show(vm.id)).state === 'running');
  const open = { objectId: vm.id, open: 'true' };
  await waitFor(
    'nobody working on it',
    30_000,
    async () => (await daemon.admin('GET /operations', { query: open })).items.length === 0,
  );
  await daemon.finish(await daemon.admin('DELETE /vms/{id}', { params: { id: vm.id }, query: { stop: 'true' } }));
});
