import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { TestClock } from '#kernel/clock.ts';
import { Connection } from './connection.ts';
import { LibvirtError } from './errors.ts';
import { createFakeHost } from './fake/domains.ts';
import { createFakeServer, encodeFailure, FakeFailure, type FakeServer } from './fake/server.ts';
import { type FrameHeader, frame, keepaliveFrame, MESSAGE_TYPES, STATUS } from './frame.ts';
import { isHole, type LibvirtStream } from './stream.ts';
import { DOMAIN_EVENTS, P, PROGRAMS } from './table.ts';
import { overStream } from './transport/transport.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

async function opened(server: FakeServer, clock = new TestClock()) {
  const connection = await Connection.open(server.transport(), { uri: 'test:///default', clock });
  return { connection, clock };
}

async function failure(promise: Promise<unknown>): Promise<LibvirtError> {
  const error = await promise.then(
    () => assert.fail('it succeeded'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof LibvirtError, String(error));
  return error;
}

test('replies are matched by serial, in whatever order they come', async () => {
  const server = createFakeHost({ count: 20 });
  const { connection } = await opened(server);
  const uuids = [...server.domains.keys()];
  server.hold();
  const names = Promise.all(uuids.map((uuid) => connection.call(P.domainLookupByUuid, { uuid })));
  await settle();
  server.release('reversed');
  assert.deepEqual(
    (await names).map(({ dom }) => dom.uuid),
    uuids,
  );
});

test('an error reply rejects its own call with the mapped code and keeps libvirt’s text for the log', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  const error = await failure(connection.call(P.domainLookupByName, { name: 'none' }));
  assert.equal(error.code, 'not_found');
  assert.equal(error.status, 404);
  assert.equal(error.failure?.code, 42);
  assert.doesNotMatch(error.message, /matching name/);
  assert.match(String(error.cause), /matching name 'none'/);
  assert.equal((await connection.call(P.connectGetHostname, {})).hostname, 'fake');
});

test('an event may come before the reply of the call that caused it', async () => {
  const server = createFakeHost({ count: 1 });
  const { connection } = await opened(server);
  const order: string[] = [];
  connection.onEvent((number) => order.push(`event ${number}`));
  const [uuid = ''] = server.domains.keys();
  await connection
    .call(P.domainUndefineFlags, { dom: { name: '', uuid, id: -1 }, flags: 0 })
    .then(() => order.push('reply'));
  assert.deepEqual(order, [`event ${DOMAIN_EVENTS.lifecycle.number}`, 'reply']);
});

test('a call past its deadline fails, its late reply is dropped, and the connection goes on', async () => {
  const server = createFakeHost();
  const { connection, clock } = await opened(server);
  server.hold();
  const late = failure(connection.call(P.connectGetHostname, {}, { deadlineMs: 500 }));
  const patient = connection.call(P.connectGetLibVersion, {}, { deadlineMs: 60_000 });
  await clock.advance(501);
  const error = await late;
  assert.equal(error.code, 'libvirt_unavailable');
  assert.equal(error.outcomeUnknown, false);
  assert.equal(connection.abandonedCalls, 1);
  server.release('as-asked');
  assert.equal((await patient).lib_ver, 9_000_000n);
  assert.equal(connection.abandonedCalls, 0);
});

test('a change past its deadline says that its outcome is unknown and is not to be repeated', async () => {
  const server = createFakeHost({ count: 1 });
  const { connection, clock } = await opened(server);
  server.hold();
  const [uuid = ''] = server.domains.keys();
  const late = failure(
    connection.call(P.domainDestroyFlags, { dom: { name: '', uuid, id: -1 }, flags: 0 }, { deadlineMs: 100 }),
  );
  await clock.advance(101);
  const error = await late;
  assert.equal(error.outcomeUnknown, true);
  assert.equal(error.isRetryable, false);
});

test('an aborted signal fails the call at once', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  const controller = new AbortController();
  server.hold();
  const call = failure(connection.call(P.connectGetHostname, {}, { signal: controller.signal }));
  controller.abort();
  assert.equal((await call).code, 'cancelled');
  assert.equal(
    (await failure(connection.call(P.connectGetHostname, {}, { signal: controller.signal }))).code,
    'cancelled',
  );
});

test('a lost connection fails all pending calls with one clear error, and later calls at once', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  const closed: LibvirtError[] = [];
  connection.onClose((error) => closed.push(error));
  server.hold();
  const calls = [1, 2, 3].map(() => failure(connection.call(P.connectGetHostname, {})));
  await settle();
  for (const peer of server.peers) peer.hangUp();
  for (const call of calls) assert.equal((await call).code, 'libvirt_unavailable');
  assert.equal((await failure(connection.call(P.connectGetHostname, {}))).code, 'libvirt_unavailable');
  assert.equal(closed.length, 1);
});

test('pongs keep a quiet connection alive', async () => {
  const server = createFakeHost();
  const { connection, clock } = await opened(server);
  for (let turn = 0; turn < 6; turn += 1) {
    await clock.advance(5_000);
    await settle();
  }
  assert.equal(connection.lostBecause, null);
});

test('a host that does not even answer pings is given up', async () => {
  const [client, host] = duplexPair();
  const answered = createFakeServer();
  const clock = new TestClock();
  // The fake answers the open phase; afterwards its answers are thrown away.
  const inner = answered.transport().bytes;
  let isMute = false;
  host.pipe(inner);
  inner.on('data', (chunk: Buffer) => {
    if (!isMute) host.write(chunk);
  });
  const connection = await Connection.open(overStream(client, 'mute'), { uri: 'test:///default', clock });
  isMute = true;
  for (let turn = 0; turn < 5; turn += 1) {
    await clock.advance(5_000);
    await settle();
  }
  assert.match(String(connection.lostBecause?.cause), /no sign of life/);
});

test('pings of the host are answered, and a storm of them does not pile up answers', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  for (const peer of server.peers)
    peer.send(Buffer.concat(Array.from({ length: 50_000 }, () => keepaliveFrame('ping'))));
  assert.equal((await connection.call(P.connectGetHostname, {})).hostname, 'fake');
});

test('a reply that cannot be decoded fails its call alone', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  server.hold();
  const bad = failure(connection.call(P.connectGetHostname, {}));
  const good = connection.call(P.connectGetLibVersion, {});
  await settle();
  // Serials 1 to 3 were the open phase.
  const reply: FrameHeader = {
    program: PROGRAMS.remote,
    version: 1,
    procedure: 59,
    type: MESSAGE_TYPES.reply,
    serial: 4,
    status: STATUS.ok,
  };
  for (const peer of server.peers) peer.send(frame(reply, Buffer.from('ffffffff', 'hex')));
  assert.equal((await bad).code, 'libvirt_failed');
  server.release('as-asked');
  assert.equal((await good).lib_ver, 9_000_000n);
});

test('a reply with file descriptors rejects the call and leaves the framing intact', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  server.hold();
  const bad = failure(connection.call(P.connectGetHostname, {}));
  await settle();
  const header = {
    program: PROGRAMS.remote,
    version: 1,
    procedure: 59,
    type: MESSAGE_TYPES.replyWithFds,
    serial: 4,
    status: STATUS.ok,
  };
  for (const peer of server.peers)
    peer.send(Buffer.concat([frame(header, Buffer.from('00000002', 'hex')), Buffer.alloc(2)]));
  assert.equal((await bad).code, 'unsupported_by_host');
  server.release('as-asked');
  assert.equal((await connection.call(P.connectGetLibVersion, {})).lib_ver, 9_000_000n);
});

test('garbage from the host ends the connection and settles every call', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), async (garbage) => {
      const server = createFakeHost();
      const { connection } = await opened(server);
      server.hold();
      const call = connection.call(P.connectGetHostname, {}).catch((error: unknown) => error);
      await settle();
      for (const peer of server.peers) {
        peer.send(garbage);
        peer.hangUp();
      }
      assert.ok((await call) instanceof LibvirtError);
      connection.destroy();
    }),
    { numRuns: 50 },
  );
});

test('text that libvirt would choke on is refused before it is sent', async () => {
  const server = createFakeHost();
  const { connection } = await opened(server);
  const before = server.calls.length;
  const error = await failure(connection.call(P.domainDefineXmlFlags, { xml: 'x'.repeat(1_048_577), flags: 0 }));
  assert.equal(error.code, 'invalid_definition');
  assert.equal(server.calls.length, before);
});

test('a host that wants SASL is refused with a clear error', async () => {
  const server = createFakeServer();
  server.answer(P.authList, () => ({ types: [1] }));
  assert.equal(
    (await failure(Connection.open(server.transport(), { uri: 'test:///default' }))).code,
    'libvirt_forbidden',
  );
});

test('polkit is asked where the host wants it, and its refusal is ours', async () => {
  const server = createFakeServer();
  server.answer(P.authList, () => ({ types: [2] }));
  server.answer(P.authPolkit, () => ({ complete: 1 }));
  await (await opened(server)).connection.close();
  assert.deepEqual(server.calls.slice(0, 3), ['AUTH_LIST', 'AUTH_POLKIT', 'CONNECT_OPEN']);
  assert.equal(server.calls.at(-1), 'CONNECT_CLOSE');
  server.answer(P.authPolkit, () => {
    throw new FakeFailure(45, 'authentication failed');
  });
  assert.equal((await failure(opened(server))).code, 'libvirt_forbidden');
});

test('a host that hangs in the open phase is given up at the deadline', async () => {
  const server = createFakeServer();
  server.hold();
  const clock = new TestClock();
  const opening = failure(
    Connection.open(server.transport(), { uri: 'test:///default', clock, openDeadlineMs: 1_000 }),
  );
  await clock.advance(1_001);
  assert.equal((await opening).code, 'libvirt_unavailable');
});

// Streams

const domain = { name: '', uuid: '01234567-89ab-cdef-0123-456789abcdef', id: -1 };
const volume = { pool: 'p', name: 'v', key: '' };
const transfer = { vol: volume, offset: 0n, length: 0n, flags: 0 };

/** A host that answers the opening call and hands out the stream frames it hears. */
async function streamHost() {
  const server = createFakeServer();
  server.answer(P.storageVolDownload, () => ({}));
  server.answer(P.storageVolUpload, () => ({}));
  server.answer(P.domainOpenConsole, () => ({}));
  server.answer(P.connectGetHostname, () => ({ hostname: 'fake' }));
  const heard: { header: FrameHeader; payload: Buffer }[] = [];
  const reply = (header: FrameHeader, status: number, payload?: Uint8Array, type: number = MESSAGE_TYPES.stream) => {
    for (const peer of server.peers) peer.send(frame({ ...header, type, status }, payload));
  };
  server.onStream((header, payload) => {
    heard.push({ header, payload: Buffer.from(payload) });
    if (header.status !== STATUS.continue) reply(header, STATUS.ok);
  });
  const { connection } = await opened(server);
  return { server, connection, heard, reply };
}

const headerFor = (procedure: number, serial = 4): FrameHeader => ({
  program: PROGRAMS.remote,
  version: 1,
  procedure,
  type: MESSAGE_TYPES.stream,
  serial,
  status: STATUS.continue,
});

async function bytesOf(stream: LibvirtStream): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString();
}

test('a download ends after the host confirmed its end', async () => {
  const { connection, heard, reply } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolDownload, transfer);
  reply(headerFor(209), STATUS.continue, Buffer.from('hello '));
  reply(headerFor(209), STATUS.continue, Buffer.from('world'));
  reply(headerFor(209), STATUS.continue);
  assert.equal(await bytesOf(stream), 'hello world');
  assert.deepEqual(
    heard.map(({ header }) => header.status),
    [STATUS.ok],
  );
});

test('data that precedes the reply of the opening call is kept', async () => {
  const { server, connection, reply } = await streamHost();
  server.answer(P.storageVolDownload, (_args, _peer, header) => {
    reply({ ...header }, STATUS.continue, Buffer.from('early'));
    reply({ ...header }, STATUS.continue);
    return {};
  });
  const { stream } = await connection.openStream(P.storageVolDownload, transfer);
  assert.equal(await bytesOf(stream), 'early');
});

test('an upload is finished only when the host has confirmed it', async () => {
  const { connection, heard } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolUpload, transfer);
  const finished = new Promise((resolve) => stream.on('finish', resolve));
  stream.write(Buffer.alloc(300_000, 1));
  stream.end('tail');
  await finished;
  const sizes = heard.filter(({ header }) => header.status === STATUS.continue).map(({ payload }) => payload.length);
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    300_004,
  );
  assert.ok(sizes.every((size) => size <= 262_120));
  assert.equal(heard.at(-1)?.header.status, STATUS.ok);
});

test('an upload that the host ends by itself has failed', async () => {
  const { connection, server, reply } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolUpload, transfer);
  server.onStream((header) => reply(header, STATUS.continue));
  const failed = new Promise<unknown>((resolve) => stream.on('error', resolve));
  stream.write(Buffer.alloc(10));
  assert.match(String(await failed), /before all was sent/);
});

test('an upload is not finished while its check goes on, and fails with it', async () => {
  const { connection } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolUpload, transfer);
  let sentBytes = 0;
  let fail: (error: Error) => void = assert.fail;
  stream.checkUpload({
    sent: (item) => {
      sentBytes += isHole(item) ? item.holeBytes : item.length;
    },
    confirm: () =>
      new Promise((_resolve, reject) => {
        fail = reject;
      }),
  });
  const failed = new Promise<unknown>((resolve) => stream.on('error', resolve));
  let isFinished = false;
  stream.on('finish', () => {
    isFinished = true;
  });
  stream.write(Buffer.alloc(300_000, 1));
  stream.end('tail');
  for (let turn = 0; turn < 50; turn += 1) await settle();
  assert.equal(sentBytes, 300_004);
  assert.equal(isFinished, false);
  fail(new Error('it is not there'));
  assert.match(String(await failed), /it is not there/);
  assert.equal(isFinished, false);
});

test('an error of the host in mid-upload fails the stream and not the connection', async () => {
  const { connection, server, reply } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolUpload, transfer);
  server.onStream((header) => {
    if (header.status === STATUS.continue)
      reply(header, STATUS.error, encodeFailure(38, 'cannot write: No space left on device'));
  });
  const failed = new Promise<unknown>((resolve) => stream.on('error', resolve));
  stream.write(Buffer.alloc(10));
  const error = await failed;
  assert.ok(error instanceof LibvirtError && error.code === 'libvirt_failed');
  assert.equal((await connection.call(P.connectGetHostname, {})).hostname, 'fake');
});

test('destroying a stream aborts it on the host and leaves the connection usable', async () => {
  const { connection, heard } = await streamHost();
  const { stream } = await connection.openStream(P.domainOpenConsole, { dom: domain, dev_name: null, flags: 0 });
  stream.resume();
  const closed = new Promise((resolve) => stream.on('close', resolve));
  stream.destroy();
  await closed;
  assert.equal(heard.at(-1)?.header.status, STATUS.error);
  assert.equal((await connection.call(P.connectGetHostname, {})).hostname, 'fake');
});

test('holes of a sparse stream are items in order, both ways', async () => {
  const { connection, heard, reply } = await streamHost();
  const down = await connection.openStream(P.storageVolDownload, { ...transfer, flags: 1 }, { isSparse: true });
  const hole = Buffer.alloc(12);
  hole.writeBigInt64BE(1_000_000n);
  reply(headerFor(209), STATUS.continue, Buffer.from('a'));
  reply(headerFor(209), STATUS.continue, hole, MESSAGE_TYPES.streamHole);
  reply(headerFor(209), STATUS.continue, Buffer.from('b'));
  reply(headerFor(209), STATUS.continue);
  const items: unknown[] = [];
  for await (const item of down.stream) items.push(isHole(item) ? item.holeBytes : String(item));
  assert.deepEqual(items, ['a', 1_000_000, 'b']);
  heard.length = 0;
  const up = await connection.openStream(P.storageVolUpload, { ...transfer, flags: 1 }, { isSparse: true });
  up.stream.write(Buffer.from('a'));
  up.stream.write({ holeBytes: 42 });
  await new Promise((resolve) => {
    up.stream.on('finish', resolve);
    up.stream.end();
  });
  assert.deepEqual(
    heard.map(({ header }) => header.type),
    [MESSAGE_TYPES.stream, MESSAGE_TYPES.streamHole, MESSAGE_TYPES.stream],
  );
  assert.equal(heard[1]?.payload.readBigInt64BE(0), 42n);
});

test('a hole in a stream that is not sparse is an error, not a shifted file', async () => {
  const { connection, reply } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolDownload, transfer);
  const failed = new Promise<unknown>((resolve) => stream.on('error', resolve));
  reply(headerFor(209), STATUS.continue, Buffer.alloc(12), MESSAGE_TYPES.streamHole);
  assert.ok((await failed) instanceof LibvirtError);
});

test('a lost connection fails its streams', async () => {
  const { connection, server } = await streamHost();
  const { stream } = await connection.openStream(P.storageVolUpload, transfer);
  const failed = new Promise<unknown>((resolve) => stream.on('error', resolve));
  for (const peer of server.peers) peer.hangUp();
  const error = await failed;
  assert.ok(error instanceof LibvirtError && error.code === 'libvirt_unavailable');
});

test('a refused opening call leaves no stream behind', async () => {
  const { connection, server } = await streamHost();
  server.answer(P.storageVolDownload, () => {
    throw new FakeFailure(50, 'no storage vol');
  });
  assert.equal((await failure(connection.openStream(P.storageVolDownload, transfer))).code, 'not_found');
});
