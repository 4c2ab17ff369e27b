/** Hostile inputs to consoles: rows E2 (operators), F4 (WebSocket upgrades), G3 (guests that flood or reset), and ended sessions. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiProblem } from '#contract/client.ts';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import { MIB } from '#kernel/units.ts';
import { signInByLink } from '../support/browser-session.ts';
import {
  type ConsoleClient,
  connectConsole,
  localConsole,
  RFB_HANDSHAKE,
  UpgradeRefused,
} from '../support/console-client.ts';
import { overSocket, startDaemon, type TestDaemon } from '../support/daemon.ts';
import { helloDisk } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;

let libvirtd: PrivateLibvirtd;
/** Inside the namespaces, with VNC sockets within reach. */
let inside: TestDaemon;
/** On this machine's loopback, where a browser could reach its network door. */
let outside: TestDaemon;
let pausedId: string;

before(async () => {
  if (skip) return;
  libvirtd = await startPrivateLibvirtd();
  const xml = join(libvirtd.dir, 'paused.xml');
  await writeFile(
    xml,
    `<domain type='qemu'><name>paused1</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os>
     <devices><serial type='pty'/><console type='pty'/><graphics type='vnc'><listen type='socket'/></graphics><video><model type='vga'/></video></devices></domain>`,
  );
  await libvirtd.virsh('define', xml);
  await libvirtd.virsh('start', '--paused', 'paused1');
  [inside, outside] = await Promise.all([
    startDaemon({ libvirtd }),
    startDaemon({ env: { HV_LIBVIRT_URI: libvirtd.uri } }),
  ]);
  pausedId = (await inside.admin('GET /vms/{id}', { params: { id: 'paused1' } })).id;
  for (const deadline = performance.now() + 10_000; performance.now() < deadline; await sleep(50)) {
    if ((await outside.admin('GET /vms', { query: {} })).total > 0) break;
  }
});
after(async () => {
  await inside?.close();
  await outside?.close();
  await libvirtd?.close();
});

interface Session {
  readonly cookie: string;
  readonly id: string;
  call(method: string, path: string, body?: unknown): Promise<{ status: number; json: Record<string, unknown> }>;
  ticket(kind: 'vnc' | 'serial', mode?: 'control' | 'view'): Promise<string>;
  /** Opens a path of the network door with these headers instead of a browser's. */
  open(path: string, headers?: Readonly<Record<string, string | null>>): Promise<ConsoleClient>;
}

/** What a browser does: spends a one-time link and keeps the cookie. */
async function signIn(role: 'admin' | 'operator'): Promise<Session> {
  const { cookie, call } = await signInByLink(outside, role);
  const { json } = await call('GET', '/auth/session');
  return {
    cookie,
    id: String(json['sessionId']),
    call,
    async ticket(kind, mode = 'view') {
      const answer = await call('POST', `/vms/${pausedId}/tickets`, { kind, mode });
      assert.equal(answer.status, 201, JSON.stringify(answer.json));
      return String(answer.json['ticket']);
    },
    open(path, headers = {}) {
      const sent = Object.entries({ origin: outside.origin, cookie, ...headers }).filter(([, value]) => value !== null);
      return connectConsole(`${outside.origin.replace('https', 'wss')}/api/v1${path}`, {
        rejectUnauthorized: false,
        headers: Object.fromEntries(sent) as Record<string, string>,
      });
    },
  };
}

const refusedWith =
  (status: number, ...codes: readonly string[]) =>
  (error: unknown) => {
    assert.ok(error instanceof UpgradeRefused, String(error));
    assert.equal(error.status, status);
    assert.ok(codes.includes(error.code ?? ''), `code ${error.code}`);
    return true;
  };

test('F4: an upgrade from another site, or without Origin, is refused before it happens', { skip }, async () => {
  const session = await signIn('admin');
  const port = new URL(outside.origin).port;
  const origins = [
    'https://evil.example',
    'null',
    null,
    `http://127.0.0.1:${port}`,
    `https://console.127.0.0.1:${port}`,
    'https://127.0.0.1:1',
    `https://localhost.evil.example:${port}`,
  ];
  for (const origin of origins) {
    const ticket = await session.ticket('serial');
    await assert.rejects(
      session.open(`/vms/${pausedId}/serial?ticket=${ticket}`, { origin }),
      refusedWith(403, 'cross_site'),
      String(origin),
    );
  }
  const ticket = await session.ticket('serial');
  await assert.rejects(
    session.open(`/vms/${pausedId}/serial?ticket=${ticket}`, { 'sec-fetch-site': 'same-site' }),
    refusedWith(403, 'cross_site'),
  );
});

test('F4: a ticket without session, and a session without its ticket, open nothing', { skip }, async () => {
  const [session, other] = await Promise.all([signIn('admin'), signIn('admin')]);
  const ticket = await session.ticket('serial');
  await assert.rejects(
    session.open(`/vms/${pausedId}/serial?ticket=${ticket}`, { cookie: null }),
    refusedWith(401, 'not_signed_in'),
  );
  await assert.rejects(
    session.open(`/vms/${pausedId}/serial?ticket=${ticket}`, { cookie: '__Host-hyper-session=forged' }),
    refusedWith(401, 'not_signed_in'),
  );
  await assert.rejects(session.open(`/vms/${pausedId}/serial`), refusedWith(422, 'invalid_input'));
  for (const wrong of ['', 'x', 'a'.repeat(100), `${ticket}x`, ticket.toUpperCase()]) {
    await assert.rejects(
      session.open(`/vms/${pausedId}/serial?ticket=${wrong}`),
      refusedWith(403, 'ticket_refused'),
      wrong,
    );
  }
  await assert.rejects(
    other.open(`/vms/${pausedId}/serial?ticket=${ticket}`),
    refusedWith(403, 'ticket_refused'),
    'of another session',
  );
  await assert.rejects(
    session.open(`/vms/${pausedId}/serial?ticket=${ticket}`),
    refusedWith(403, 'ticket_refused'),
    'tried by another, so it is burnt',
  );
});

test('F4: a ticket works once, for its VM and its kind only', { skip }, async () => {
  const session = await signIn('admin');
  const ticket = await session.ticket('serial');
  const console1 = await session.open(`/vms/${pausedId}/serial?ticket=${ticket}`);
  await assert.rejects(session.open(`/vms/${pausedId}/serial?ticket=${ticket}`), refusedWith(403, 'ticket_refused'));
  console1.socket.close();
  const raced = await session.ticket('serial');
  const outcomes = await Promise.allSettled(
    Array.from({ length: 20 }, () => session.open(`/vms/${pausedId}/serial?ticket=${raced}`)),
  );
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1, 'one of twenty at once');
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') outcome.value.socket.close();

  await assert.rejects(
    session.open(`/vms/${pausedId}/console?ticket=${await session.ticket('serial')}`),
    refusedWith(403, 'ticket_refused'),
  );
  await libvirtd.virsh('define', await secondDomain());
  let otherId = '';
  for (const deadline = performance.now() + 10_000; otherId === ''; await sleep(50)) {
    otherId = (await outside.admin('GET /vms', { query: { q: 'second1' } })).items[0]?.id ?? '';
    assert.ok(performance.now() < deadline);
  }
  await assert.rejects(
    session.open(`/vms/${otherId}/serial?ticket=${await session.ticket('serial')}`),
    refusedWith(403, 'ticket_refused'),
  );
  await assert.rejects(
    session.open(`/vms/${'0'.repeat(8)}-0000-0000-0000-000000000000/serial?ticket=${await session.ticket('serial')}`),
    refusedWith(404, 'not_found'),
  );
});

async function secondDomain(): Promise<string> {
  const path = join(libvirtd.dir, 'second.xml');
  await writeFile(
    path,
    `<domain type='qemu'><name>second1</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices><serial type='pty'/></devices></domain>`,
  );
  return path;
}

test('a console ends within five seconds when its session is ended, and its tickets with it', { skip }, async () => {
  const [session, admin] = await Promise.all([signIn('operator'), signIn('admin')]);
  const open = await session.open(`/vms/${pausedId}/serial?ticket=${await session.ticket('serial')}`);
  const other = await admin.open(`/vms/${pausedId}/serial?ticket=${await admin.ticket('serial')}`);
  const spare = await session.ticket('serial');
  const began = performance.now();
  await outside.admin('DELETE /auth/sessions/{id}', { params: { id: session.id } });
  assert.equal(await open.closed, CONSOLE_CLOSE.sessionEnded);
  assert.ok(performance.now() - began < 5_000);
  await assert.rejects(session.open(`/vms/${pausedId}/serial?ticket=${spare}`), refusedWith(401, 'not_signed_in'));
  assert.equal(other.socket.readyState, other.socket.OPEN, 'others stay');
  other.socket.close();
});

test('E2: an operator gets no ticket to control, and presses no key', { skip }, async () => {
  const forbidden = (error: unknown) => error instanceof ApiProblem && error.problem.status === 403;
  for (const kind of ['vnc', 'serial'] as const) {
    await assert.rejects(
      inside.operator('POST /vms/{id}/tickets', { params: { id: pausedId }, body: { kind, mode: 'control' } }),
      forbidden,
    );
    // Control is what is asked for when nothing is said.
    await assert.rejects(
      inside.operator('POST /vms/{id}/tickets', { params: { id: pausedId }, body: { kind } }),
      forbidden,
    );
  }
  await assert.rejects(
    inside.operator('POST /vms/{id}/keys', { params: { id: pausedId }, body: { keys: ['a'] } }),
    forbidden,
  );
  const records = await inside.admin('GET /audit', { query: { outcome: 'denied' } });
  assert.ok(records.items.some(({ action, actor }) => action === 'POST /vms/{id}/keys' && actor === 'operator'));
});

test('E2: what a viewing operator sends beside screen requests never reaches the VNC server', { skip }, async () => {
  const live = await libvirtd.virsh('dumpxml', 'paused1');
  const path = libvirtd.mapPath(/socket='([^']+)'/.exec(live)?.[1] ?? '');
  // We take QEMU's place behind its own socket, and see every byte that would reach it.
  await rm(path);
  const received: Buffer[] = [];
  const server = createServer().listen(path);
  const [qemu] = await Promise.all([
    once(server, 'connection').then(([socket]: Socket[]) => {
      assert.ok(socket);
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      return socket;
    }),
    (async () => {
      const { path: consolePath } = await inside.operator('POST /vms/{id}/tickets', {
        params: { id: pausedId },
        body: { kind: 'vnc', mode: 'view' },
      });
      const viewer = await connectConsole(localConsole(inside, consolePath, 'operator'));
      const cut = Buffer.concat([Buffer.from([6, 0, 0, 0, 0, 0, 0, 5]), Buffer.from('paste')]);
      const hostile = Buffer.concat([
        Buffer.from([4, 1, 0, 0, 0, 0, 0, 0x61]), // key
        Buffer.from([5, 1, 0, 9, 0, 9]), // pointer
        cut,
        Buffer.from([255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 30]), // QEMU key
        Buffer.from([250, 0, 1, 2]), // XVP shutdown
        Buffer.concat([Buffer.from([251, 0, 4, 0, 3, 0, 1, 0]), Buffer.alloc(16)]), // resize
      ]);
      const request = Buffer.from([3, 0, 0, 0, 0, 0, 0, 8, 0, 8]);
      const all = Buffer.concat([RFB_HANDSHAKE, hostile, request, hostile, request]);
      // In odd portions, and once as single bytes.
      viewer.socket.send(all.subarray(0, 17));
      for (const byte of all.subarray(17, 60)) viewer.socket.send(Buffer.of(byte));
      viewer.socket.send(all.subarray(60));
      const expected = Buffer.concat([Buffer.from('RFB 003.008\n\x01\x01', 'latin1'), request, request]);
      for (
        const deadline = performance.now() + 5_000;
        Buffer.concat(received).length < expected.length;
        await sleep(20)
      ) {
        assert.ok(performance.now() < deadline, `only ${Buffer.concat(received).toString('hex')}`);
      }
      await sleep(200);
      assert.deepEqual(Buffer.concat(received), expected);
      viewer.socket.close();
    })(),
  ]);
  qemu.destroy();
  server.close();
});

async function residentBytes(daemon: TestDaemon): Promise<number> {
  const metrics = (
    await overSocket(join(daemon.runtimeDir, 'admin.sock'), { method: 'GET', path: '/metrics' })
  ).body.toString();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(metrics)?.[1] ?? Number.NaN);
}

test('G3: a guest that floods its serial port or resets in a loop costs bounded memory, and others are served', {
  skip,
}, async (t) => {
  const disk = await helloDisk();
  await inside.finish(await inside.admin('POST /images/import', { body: { path: disk, name: 'hello' } }));
  await inside.finish(
    await inside.admin('POST /vms', {
      body: {
        name: 'flood1',
        firmware: 'bios',
        accel: 'tcg',
        memoryBytes: 256 * MIB,
        vcpus: 1,
        disks: [{ imageId: 'hello' }],
        nics: [],
      },
    }),
  );
  const openSerial = async (mode: 'control' | 'view') => {
    const { path } = await inside.admin('POST /vms/{id}/tickets', {
      params: { id: 'flood1' },
      body: { kind: 'serial', mode },
    });
    return connectConsole(localConsole(inside, path));
  };
  const reader = await openSerial('control');
  const stalled = await openSerial('view');
  await reader.waitFor(/HELLO-READY/, 120_000);
  const before = await residentBytes(inside);
  assert.ok(before > 0);
  stalled.socket.pause();
  reader.socket.send(Buffer.from('\nwhile :; do cat /proc/cpuinfo /proc/kallsyms; done\n'));
  const start = reader.bytes().length;
  const slowest = { ms: 0 };
  for (const deadline = performance.now() + 15_000; performance.now() < deadline; await sleep(100)) {
    const began = performance.now();
    await inside.admin('GET /vms/{id}', { params: { id: pausedId } });
    slowest.ms = Math.max(slowest.ms, performance.now() - began);
  }
  const flooded = reader.bytes().length - start;
  assert.ok(flooded > 100_000, `the guest printed only ${flooded} bytes`);
  assert.ok(slowest.ms < 5_000, `a normal request took ${slowest.ms} ms meanwhile`);
  const log = await overSocket(join(inside.runtimeDir, 'admin.sock'), {
    method: 'GET',
    path: '/api/v1/vms/flood1/serial/log',
  });
  assert.ok(log.body.length <= 256 * 1024);

  for (let count = 0; count < 15; count += 1) {
    await libvirtd.virsh('reset', 'flood1');
    await sleep(50);
  }
  const grown = (await residentBytes(inside)) - before;
  t.diagnostic(`${flooded} bytes in 15 s; memory grew by ${grown} bytes; slowest request ${Math.round(slowest.ms)} ms`);
  assert.ok(grown < 50 * MIB, 'memory stays bounded');
  assert.equal(reader.socket.readyState, reader.socket.OPEN);
  stalled.socket.terminate();
  reader.socket.close();
});
