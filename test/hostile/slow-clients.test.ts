/** Clients that send slowly, or come in crowds (row F10): they are cut, and others are served meanwhile. */

import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { mapLimit } from '#kernel/async.ts';
import { startDaemon, type TestDaemon } from '#test/support/daemon.ts';
import { answerOf, open, requestText, type Site, send, signIn, siteOf } from '#test/support/wire.ts';

const isFull = process.env['HV_TEST_FULL'] === '1';
const CLIENTS = isFull ? 500 : 100;

let daemon: TestDaemon;
let site: Site;
let cookie: string;

before(async () => {
  daemon = await startDaemon({ waitFor: 'doors' });
  site = await siteOf(daemon);
  cookie = await signIn(site, daemon);
});
after(() => daemon?.close());

const numbered = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Milliseconds until the other side closed, counted from now. */
function closedAfter(socket: Socket): Promise<number> {
  const startedMs = performance.now();
  return new Promise((resolve) => {
    socket.on('error', () => undefined); // a reset is a way of closing
    socket.on('close', () => resolve(performance.now() - startedMs));
    socket.resume();
  });
}

/** A bare connection from one of this machine's own addresses, and when the other side closed it. The closing is listened
 *  for from the start: the server may well close a connection before the next one is open. */
function openTcp(localAddress: string): Promise<{ readonly socket: Socket; readonly closed: Promise<number> }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: site.port, localAddress });
    const closed = closedAfter(socket);
    socket.once('connect', () => resolve({ socket, closed }));
    socket.once('error', reject);
  });
}

async function isServed(): Promise<boolean> {
  return (await send(site, requestText(site, { lines: [cookie] })))?.status === 200;
}

test(`F10: ${CLIENTS} clients that drip their headers are closed within ten seconds, and others are served meanwhile`, async () => {
  const clients = await mapLimit(numbered(CLIENTS), 50, async () => {
    const socket = await open(site);
    const closed = closedAfter(socket);
    socket.write(`GET /api/v1/system/status HTTP/1.1\r\nHost: ${site.host}\r\nX-Slow: `);
    const drip = setInterval(() => socket.write('a'), 500);
    void closed.then(() => clearInterval(drip));
    return { closed };
  });
  assert.ok(await isServed());
  const times = await Promise.all(clients.map(({ closed }) => closed));
  // The limit is 3 s, looked at each second; the rest is for a busy machine.
  assert.ok(Math.max(...times) < 10_000, `the last was closed after ${Math.round(Math.max(...times))} ms`);
  assert.ok(await isServed());
});

test('F10: clients that connect and say nothing, or never finish the handshake, do not keep others out', async () => {
  const silent = await mapLimit(numbered(50), 25, () => open(site));
  const unshaken = await mapLimit(numbered(50), 25, () => openTcp('127.0.0.1'));
  assert.ok(await isServed());
  const times = await Promise.all([...silent.map(closedAfter), ...unshaken.map(({ closed }) => closed)]);
  assert.ok(Math.max(...times) < 15_000);
});

test('F10: one address gets a thousand connections and no more, and another address is served meanwhile', async (t) => {
  const crowd: Socket[] = [];
  t.after(() => {
    for (const socket of crowd) socket.destroy();
  });
  let closed = 0;
  await mapLimit(numbered(1100), 100, async () => {
    const client = await openTcp('127.0.0.1');
    crowd.push(client.socket);
    void client.closed.then(() => {
      closed += 1;
    });
  });
  const end = performance.now() + 3000;
  while (closed < 100 && performance.now() < end) await sleep(20);
  assert.ok(closed >= 100, `${closed} of 100 too many were closed`);
  const other = await openTcp('127.0.0.2');
  crowd.push(other.socket);
  assert.equal(await Promise.race([other.closed, sleep(300, 'stays')]), 'stays');
  for (const socket of crowd) socket.destroy();
  await sleep(200);
  assert.ok(await isServed());
});

test('F10: a client that reads nothing of a stream is cut or bounded, and others hear their events', async () => {
  const socket = await open(site);
  socket.write(requestText(site, { path: '/api/v1/events', lines: [cookie] }));
  socket.pause();
  const listener = await open(site);
  let heard = '';
  listener.on('data', (data: Buffer) => {
    heard += data.toString('latin1');
  });
  listener.write(requestText(site, { path: '/api/v1/events', lines: [cookie] }));
  await sleep(300);
  for (let round = 0; round < 5; round += 1) await daemon.admin('POST /auth/links', { body: {} });
  const end = performance.now() + 10_000;
  while (!heard.includes('audit.recorded') && performance.now() < end) await sleep(50);
  assert.match(heard, /event: audit\.recorded/);
  socket.destroy();
  listener.destroy();
});

test('a body that stops half-way keeps nothing but its own connection', async () => {
  const socket = await open(site);
  const answering = answerOf(socket, 20_000).catch(() => null);
  socket.write(
    requestText(site, {
      method: 'POST',
      path: '/api/v1/preflight',
      lines: [cookie, `Origin: ${site.origin}`, 'Content-Type: application/json', 'Content-Length: 100'],
    }),
  );
  socket.write('{"half":');
  assert.ok(await isServed());
  socket.destroy();
  await answering;
  const begun = await daemon.admin('GET /operations', { query: { kind: 'preflight.run' } });
  assert.equal(begun.items.length, 0);
});
