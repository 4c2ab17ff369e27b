import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket as NetSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { CONSOLE_CLOSE } from '#contract/consoles.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createFakeSocket } from './fake-socket.ts';
import type { ConsoleMode } from './tickets.ts';
import { bridgeVnc } from './vnc-bridge.ts';

const HANDSHAKE = Buffer.from('RFB 003.008\n\x01\x00', 'latin1');
const KEY = Buffer.from([4, 1, 0, 0, 0, 0, 0, 0x61]);
const UPDATE_REQUEST = Buffer.from([3, 1, 0, 0, 0, 0, 0, 8, 0, 8]);

/** A bridge to a server that plays QEMU. */
async function bridged(t: TestContext, mode: ConsoleMode) {
  const folder = await mkdtemp(join(tmpdir(), 'hv-vnc-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'vnc.sock');
  const server = createServer().listen(path);
  t.after(() => server.close());
  await once(server, 'listening');
  const socket = createFakeSocket();
  let ends = 0;
  const bridge = bridgeVnc({
    socket,
    path,
    mode,
    log: silentLogger,
    onEnd: () => {
      ends += 1;
    },
  });
  const [qemu]: NetSocket[] = await once(server, 'connection');
  assert.ok(qemu);
  t.after(() => qemu.destroy());
  const received: Buffer[] = [];
  qemu.on('data', (chunk: Buffer) => received.push(chunk));
  const receivedBytes = async (count: number): Promise<Buffer> => {
    while (Buffer.concat(received).length < count) await new Promise((resolve) => setTimeout(resolve, 5));
    return Buffer.concat(received);
  };
  return { socket, bridge, qemu, receivedBytes, ends: () => ends };
}

test('bytes go both ways, and keys only in control mode', async (t) => {
  const control = await bridged(t, 'control');
  control.qemu.write('RFB 003.008\n');
  await control.socket.waitFor(/RFB 003\.008\n/);
  control.socket.receive(Buffer.concat([HANDSHAKE, KEY, UPDATE_REQUEST]));
  assert.deepEqual((await control.receivedBytes(32)).subarray(14), Buffer.concat([KEY, UPDATE_REQUEST]));

  const view = await bridged(t, 'view');
  view.socket.receive(Buffer.concat([HANDSHAKE, KEY, UPDATE_REQUEST]));
  assert.deepEqual((await view.receivedBytes(24)).subarray(14), UPDATE_REQUEST);
});

test('a client that breaks the protocol is cut off and nothing of it reaches the guest', async (t) => {
  const { socket, receivedBytes, qemu, ends } = await bridged(t, 'control');
  socket.receive(HANDSHAKE);
  await receivedBytes(14);
  socket.receive(Buffer.concat([KEY, Buffer.of(99)]));
  assert.equal(await socket.waitForClose(), CONSOLE_CLOSE.refused);
  await once(qemu, 'close');
  assert.equal((await receivedBytes(14)).length, 14);
  assert.equal(ends(), 1);
});

test('a client that does not read stops the reading of the screen, and goes on when it has drained', async (t) => {
  const { socket, qemu } = await bridged(t, 'view');
  socket.isStalled = true;
  const chunk = Buffer.alloc(256 * 1024, 7);
  let sent = 0;
  while (qemu.writableLength < 1024 * 1024 && sent < 40) {
    qemu.write(chunk);
    sent += 1;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(sent < 40, 'back-pressure reaches QEMU');
  assert.ok(socket.bufferedBytes() < 2 * 1024 * 1024, 'our memory is bounded');
  socket.drain();
  while (socket.sent.length < sent * chunk.length) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal(socket.closed, null);
});

test('a guest that never takes input cannot make us keep it', async (t) => {
  const { socket, qemu, receivedBytes } = await bridged(t, 'control');
  socket.receive(HANDSHAKE);
  await receivedBytes(14);
  qemu.pause();
  const keys = Buffer.concat(Array.from({ length: 8192 }, () => KEY));
  for (let count = 0; count < 64 && !socket.closed; count += 1) {
    socket.receive(keys);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(socket.closed?.code, CONSOLE_CLOSE.unreachable);
});

test('the end of the guest, of the client and of the session each end it once', async (t) => {
  const guest = await bridged(t, 'view');
  guest.qemu.end();
  guest.qemu.destroy();
  assert.equal(await guest.socket.waitForClose(), CONSOLE_CLOSE.guestStopped);
  guest.socket.leave();
  assert.equal(guest.ends(), 1);

  const client = await bridged(t, 'view');
  client.socket.leave();
  await once(client.qemu, 'close');
  assert.equal(client.ends(), 1);

  const session = await bridged(t, 'view');
  session.bridge.end(CONSOLE_CLOSE.sessionEnded, 'The session ended.');
  session.bridge.end(1000, '');
  assert.equal(session.socket.closed?.code, CONSOLE_CLOSE.sessionEnded);
  await once(session.qemu, 'close');
  assert.equal(session.ends(), 1);
});

test('a screen that is not there is said to be unreachable', async () => {
  const socket = createFakeSocket();
  bridgeVnc({ socket, path: '/nonexistent/vnc.sock', mode: 'view', log: silentLogger, onEnd: () => undefined });
  assert.equal(await socket.waitForClose(), CONSOLE_CLOSE.unreachable);
});
