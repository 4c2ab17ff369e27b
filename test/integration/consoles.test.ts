/** The consoles of a real guest through a real daemon: serial bytes both ways, the VNC handshake, screenshots that follow keys, and
 *  what viewers see when the guest stops and starts. */

import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { ApiProblem } from '#contract/client.ts';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import { MIB } from '#kernel/units.ts';
import { type ConsoleClient, connectConsole, localConsole, shakeHands } from '../support/console-client.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const isProblem = (code: string) => (error: unknown) => error instanceof ApiProblem && error.problem.code === code;

let libvirtd: PrivateLibvirtd;
let daemon: TestDaemon;
let vmId: string;

before(async () => {
  if (skip) return;
  const disk = await helloDisk();
  libvirtd = await startPrivateLibvirtd();
  daemon = await startDaemon({ libvirtd });
  await daemon.finish(await daemon.admin('POST /images/import', { body: { path: disk, name: 'hello' } }));
  const created = await daemon.finish(
    await daemon.admin('POST /vms', {
      body: {
        name: 'con1',
        firmware: 'bios',
        accel: 'tcg',
        memoryBytes: 256 * MIB,
        vcpus: 1,
        disks: [{ imageId: 'hello' }],
        nics: [],
      },
    }),
  );
  assert.ok(created.objectId);
  vmId = created.objectId;
});
after(async () => {
  await daemon?.close();
  await libvirtd?.close();
});

async function open(kind: 'vnc' | 'serial', mode: 'control' | 'view'): Promise<ConsoleClient> {
  const { path } = await daemon.admin('POST /vms/{id}/tickets', { params: { id: vmId }, body: { kind, mode } });
  return connectConsole(localConsole(daemon, path));
}

async function screenshot(query = '', headers: Readonly<Record<string, string>> = {}) {
  return overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'GET',
    path: `/api/v1/vms/${vmId}/screenshot${query}`,
    headers,
  });
}

test('serial: the scroll-back comes first, input goes in from control only, all see the output', { skip }, async () => {
  const first = await open('serial', 'control');
  await first.waitFor(/HELLO-READY/, 120_000);
  const viewer = await open('serial', 'view');
  await viewer.waitFor(/HELLO-READY/);
  viewer.socket.send(Buffer.from('echo intruder-$((40+1))\n'));
  first.socket.send(Buffer.from('\necho sum-$((40+2))\n'));
  await Promise.all([first.waitFor(/sum-42/), viewer.waitFor(/sum-42/)]);
  assert.doesNotMatch(first.bytes().toString(), /intruder/);
  first.socket.close();
  viewer.socket.close();
});

test('serial log: what the guest printed can be read without a console', { skip }, async () => {
  const answer = await overSocket(join(daemon.runtimeDir, 'operator.sock'), {
    method: 'GET',
    path: `/api/v1/vms/${vmId}/serial/log`,
  });
  assert.equal(answer.status, 200);
  assert.match(answer.body.toString('latin1'), /HELLO-READY/);
  assert.match(String(answer.headers['content-type']), /^text\/plain/);
});

function updateRequest(width: number, height: number): Buffer {
  const request = Buffer.alloc(10);
  request.writeUInt8(3, 0);
  request.writeUInt16BE(width, 6);
  request.writeUInt16BE(height, 8);
  return request;
}

test('VNC: several viewers shake hands and get the picture, also without control', { skip }, async () => {
  const viewers = await Promise.all([open('vnc', 'control'), open('vnc', 'view')]);
  for (const viewer of viewers) {
    const { width, height, used } = await shakeHands(viewer);
    assert.ok(width >= 320 && height >= 200);
    viewer.socket.send(updateRequest(width, height));
    // Header of an update and at least one row of raw pixels.
    await viewer.waitForBytes(used + 16 + width * 4);
  }
  const [control, view] = viewers;
  assert.ok(control && view);
  view.socket.send(Buffer.of(99));
  assert.equal(await view.closed, CONSOLE_CLOSE.refused);
  assert.equal(control.socket.readyState, WebSocket.OPEN);
  control.socket.close();
});

test('screenshots are PNG, follow the keys, and are not captured again within five seconds', { skip }, async () => {
  const before = await screenshot();
  assert.equal(before.status, 200);
  assert.equal(before.headers['content-type'], 'image/png');
  assert.equal(before.body.toString('latin1', 1, 4), 'PNG');
  const small = await screenshot('?width=160');
  assert.equal(small.body.readUInt32BE(16), 160);
  assert.ok(small.body.length < before.body.length);
  const again = await screenshot('', { 'if-none-match': String(before.headers['etag']) });
  assert.deepEqual([again.status, again.body.length], [304, 0]);

  for (const key of ['h', 'e', 'l', 'p', 'enter', 'enter']) {
    await daemon.admin('POST /vms/{id}/keys', { params: { id: vmId }, body: { keys: [key] } });
    await sleep(150);
  }
  for (const deadline = performance.now() + 30_000; ; await sleep(1000)) {
    const now = await screenshot();
    if (now.headers['etag'] !== before.headers['etag']) break;
    assert.ok(performance.now() < deadline, 'the picture did not change after keys');
  }
});

test('a key that does not exist is refused with the list', { skip }, async () => {
  await assert.rejects(
    daemon.admin('POST /vms/{id}/keys', { params: { id: vmId }, body: { keys: ['ctrl', 'delet'] } }),
    (error) =>
      error instanceof ApiProblem &&
      error.problem.code === 'unknown_key' &&
      error.problem.fields?.[0]?.path === 'keys.1',
  );
});

test('viewers learn that the guest stopped, and see its next start from the beginning', { skip }, async () => {
  const serial = await open('serial', 'control');
  await serial.waitFor(/HELLO-READY/);
  const vnc = await open('vnc', 'view');
  await shakeHands(vnc);
  await daemon.finish(await daemon.admin('POST /vms/{id}/stop', { params: { id: vmId } }));
  await serial.waitFor(/\[hyper: guest stopped\]/);
  assert.equal(await vnc.closed, CONSOLE_CLOSE.guestStopped);
  await assert.rejects(open('vnc', 'view'), isProblem('wrong_state'));
  assert.equal((await screenshot()).status, 409);
  const before = serial.bytes().length;
  await daemon.finish(await daemon.admin('POST /vms/{id}/start', { params: { id: vmId } }));
  await serial.waitFor(/\[hyper: guest started\].*HELLO-READY/s, 120_000);
  assert.ok(serial.bytes().length > before);
  serial.socket.send(Buffer.from('\necho again-$((1+1))\n'));
  await serial.waitFor(/again-2/);
  serial.socket.close();
});

test('a VM of another program without screen has a serial console, captured here because libvirt keeps no log', {
  skip,
}, async () => {
  const xml = join(libvirtd.dir, 'foreign.xml');
  await writeFile(
    xml,
    `<domain type='qemu'><name>foreign</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type><bios useserial='yes'/></os>
     <devices><serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console></devices></domain>`,
  );
  await libvirtd.virsh('define', xml);
  await libvirtd.virsh('start', 'foreign');
  let id = '';
  for (const deadline = performance.now() + 10_000; id === ''; await sleep(50)) {
    id =
      (await daemon.admin('GET /vms', { query: { q: 'foreign' } })).items.find(({ state }) => state === 'running')
        ?.id ?? '';
    assert.ok(performance.now() < deadline, 'the inventory does not show it');
  }
  await assert.rejects(
    daemon.admin('POST /vms/{id}/tickets', { params: { id }, body: { kind: 'vnc' } }),
    isProblem('no_screen'),
  );
  const { path } = await daemon.admin('POST /vms/{id}/tickets', {
    params: { id },
    body: { kind: 'serial', mode: 'view' },
  });
  const viewer = await connectConsole(localConsole(daemon, path));
  await libvirtd.virsh('reset', 'foreign');
  await viewer.waitFor(/SeaBIOS|iPXE|No bootable/);
  viewer.socket.close();
  const log = await overSocket(join(daemon.runtimeDir, 'admin.sock'), {
    method: 'GET',
    path: `/api/v1/vms/${id}/serial/log`,
  });
  assert.match(log.body.toString('latin1'), /SeaBIOS|iPXE|No bootable/);
  await libvirtd.virsh('destroy', 'foreign');
  await libvirtd.virsh('undefine', 'foreign');
});

test('the daemon stops in good time with consoles open', { skip }, async () => {
  const viewers = await Promise.all([open('serial', 'control'), open('vnc', 'view')]);
  const began = performance.now();
  await daemon.stop();
  const codes = await Promise.all(viewers.map(({ closed }) => closed));
  assert.ok(
    codes.every((code) => code === 1001 || code === 1006),
    `closed with ${codes.join(', ')}`,
  );
  assert.ok(performance.now() - began < 10_000);
});
