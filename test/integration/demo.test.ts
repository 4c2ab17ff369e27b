/** An empty machine, from `POST /system/demo` to a guest that says it is ready, and the pages that show it. */

import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { HELLO_READY } from '#platform/hello-disk/index.ts';
import { overSocket, startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { GUEST_CACHE, helloDisk } from '#test/support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '#test/support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  const stateDir = join(libvirtd.dir, 'state');
  // Inside the namespaces there is no way to the package mirror: the parts of the guests come from the tests' cache.
  await helloDisk();
  await cp(join(GUEST_CACHE, 'packages'), join(stateDir, 'scratch', 'guest-parts'), { recursive: true });
  daemon = await startDaemon({ libvirtd, stateDir, config: { accel: 'auto' } });
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

test('preflight looks at everything and its result is kept', { skip }, async () => {
  const operation = await daemon.finish(await daemon.admin('POST /preflight'));
  const preflight = await daemon.admin('GET /preflight');
  assert.deepEqual(operation.result, preflight);
  assert.ok(preflight && preflight.checks.length > 20);
  const line = (id: string) => preflight.checks.find((check) => check.id === id);
  for (const id of [
    'libvirt.connection',
    'libvirt.user',
    'qemu.binary',
    'qemu.tcg',
    'sandbox.bwrap',
    'state.permissions',
    'state.database',
  ]) {
    assert.equal(line(id)?.status, 'ok', `${id}: ${line(id)?.detail}`);
  }
  assert.notEqual(preflight.accel, 'none');
  const { accel } = await daemon.admin('GET /system/status');
  assert.equal(accel, preflight.accel);
});

test('the host is shown with its figures', { skip }, async () => {
  const host = await daemon.admin('GET /hosts/{id}', { params: { id: 'local' } });
  assert.equal(host.state, 'connected');
  assert.match(host.libvirtVersion ?? '', /^\d+\.\d+\.\d+$/);
  assert.ok(host.usage && host.usage.filesystems.length > 0);
  assert.deepEqual(
    (await daemon.admin('GET /hosts')).items.map(({ id }) => id),
    ['local'],
  );
  await assert.rejects(daemon.admin('GET /hosts/{id}', { params: { id: 'other' } }), /no host/i);
});

test('an empty machine gets a guest that runs, asked once or twice, and a machine with VMs gets none', {
  skip,
}, async () => {
  const [first, second] = await Promise.all([
    daemon.admin('POST /system/demo'),
    sleep(200).then(() => daemon.admin('POST /system/demo')),
  ]);
  assert.ok(first && second);
  assert.equal(second.id, first.id);
  await daemon.finish(first);
  const vm = await daemon.admin('GET /vms/{id}', { params: { id: 'hello' } });
  assert.equal(vm.state, 'running');
  assert.ok(vm.managed && vm.hasVnc && vm.hasSerial);

  const end = performance.now() + 120_000;
  let log = '';
  while (!log.includes(HELLO_READY) && performance.now() < end) {
    await sleep(500);
    const reply = await overSocket(`${daemon.runtimeDir}/admin.sock`, {
      method: 'GET',
      path: `/api/v1/vms/${vm.id}/serial/log`,
    });
    log = reply.body.toString('utf8');
  }
  assert.match(log, new RegExp(HELLO_READY));

  assert.equal(await daemon.admin('POST /system/demo'), null);
  const overview = await daemon.admin('GET /system/overview');
  assert.deepEqual(
    overview.vms.running.map(({ name }) => name),
    ['hello'],
  );
  assert.ok(overview.operations.some(({ kind }) => kind === 'system.demo'));
  assert.ok(
    overview.problems.every(({ severity }) => severity === 'warn'),
    JSON.stringify(overview.problems),
  );
  assert.deepEqual(
    (await daemon.admin('GET /images')).items.map(({ name, kind, source }) => ({ name, kind, source })),
    [{ name: 'hello', kind: 'disk', source: 'built' }],
  );
});
