/** Clients that send garbage, stop half-way, ask for too much or take no answers: they are cut or refused, cost next to
 *  nothing, and others are served meanwhile. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, mock, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connectNbd, type NbdSource, serveNbd } from './index.ts';
import { randomDisk, randomNumbers } from './random-disk.test-data.ts';
import { contextQuery, goRequest, RawClient } from './raw-client.test-data.ts';
import {
  CHUNKS,
  COMMANDS,
  decodeChunkHeader,
  lengthAndText,
  OPTION_ERRORS,
  OPTION_REPLIES,
  OPTIONS,
  optionRequest,
  uint16,
  uint32,
} from './wire.ts';

const MIB = 2 ** 20;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const disk = randomDisk(seed, 2 * MIB + 100, 100_000);

let folder = '';
let sites = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-nbd-clients-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function served(source: NbdSource = disk) {
  sites += 1;
  const socketPath = join(folder, `${sites}.sock`);
  const server = await serveNbd({ socketPath, exports: new Map([['vda', source]]) });
  return { socketPath, [Symbol.asyncDispose]: () => server.close() };
}

async function assertServed(socketPath: string): Promise<void> {
  const connection = await connectNbd({ socketPath }, { exportName: 'vda', requestTimeoutMs: 5_000 });
  assert.ok((await connection.read(MIB, 1000)).equals(disk.bytes.subarray(MIB, MIB + 1000)));
  await connection.close();
}

const hugeOption = () => {
  const request = optionRequest(OPTIONS.go);
  request.writeUInt32BE(0xffffffff, 12);
  return request;
};

for (const [what, afterGreeting] of [
  ['garbage', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['client flags that do not exist', uint32(0xffffffff)],
  ['a wrong magic', Buffer.concat([uint32(3), Buffer.alloc(16, 7)])],
  ['an option of 4 GiB', Buffer.concat([uint32(3), hugeOption()])],
  [
    'an unknown disk by its name alone',
    Buffer.concat([uint32(3), optionRequest(OPTIONS.exportName, Buffer.from('vdz'))]),
  ],
  [
    'options without end',
    Buffer.concat([uint32(3), ...Array.from({ length: 300 }, () => optionRequest(OPTIONS.list))]),
  ],
] as const)
  test(`${what} ends the connection at once`, { timeout: 5_000 }, async () => {
    await using site = await served();
    const client = new RawClient(site.socketPath);
    client.socket.on('data', () => undefined);
    client.socket.write(afterGreeting);
    await client.closed;
    await assertServed(site.socketPath);
  });

test('random bytes in place of each message end the connection or are refused, and nothing else', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const random = randomNumbers(seed);
  await using site = await served();
  for (let round = 0; round < 60; round += 1) {
    const client = new RawClient(site.socketPath);
    client.socket.on('error', () => undefined); // a reset is a way of closing
    const noise = Buffer.from(Array.from({ length: 1 + random(400) }, () => random(256)));
    if (round % 3 === 1) await client.greet();
    if (round % 3 === 2) await client.open();
    client.socket.end(noise);
    client.socket.resume();
    await client.closed;
  }
  await assertServed(site.socketPath);
});

test('options that make no sense are refused, and the next one is answered', async () => {
  await using site = await served();
  const client = new RawClient(site.socketPath);
  await client.greet();
  const type = async (option: number, data?: Buffer) => (await client.option(option, data)).type;
  assert.equal(await type(OPTIONS.startTls), OPTION_ERRORS.unsupported);
  assert.equal(await type(99, Buffer.alloc(10)), OPTION_ERRORS.unsupported);
  assert.equal(await type(OPTIONS.go, Buffer.alloc(3)), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.go, Buffer.concat([uint32(0xffffffff), Buffer.alloc(8)])), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.go, Buffer.concat([goRequest('vda'), Buffer.alloc(1)])), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.go, Buffer.concat([lengthAndText('vda'), uint16(65535)])), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.go, goRequest('vdz')), OPTION_ERRORS.unknownExport);
  assert.equal(await type(OPTIONS.list, Buffer.alloc(1)), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.structuredReply, Buffer.alloc(1)), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.go, Buffer.alloc(100_000)), OPTION_ERRORS.tooBig);
  assert.equal(await type(OPTIONS.setMetaContext, contextQuery(['base:allocation'])), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.structuredReply), OPTION_REPLIES.ack);
  assert.equal(await type(OPTIONS.setMetaContext, contextQuery([], 'vdz')), OPTION_ERRORS.unknownExport);
  const many = Buffer.concat([lengthAndText('vda'), uint32(0xffffffff)]);
  assert.equal(await type(OPTIONS.setMetaContext, many), OPTION_ERRORS.invalid);
  assert.equal(await type(OPTIONS.setMetaContext, contextQuery(['qemu:dirty-bitmap:x'])), OPTION_REPLIES.ack);
  assert.equal(await type(OPTIONS.info, goRequest('vda', 3)), OPTION_REPLIES.info);
  assert.equal((await client.optionReply()).data.readUInt16BE(0), 3);
  assert.equal((await client.optionReply()).type, OPTION_REPLIES.ack);
  assert.equal(await type(OPTIONS.list), OPTION_REPLIES.server);
  assert.equal((await client.optionReply()).type, OPTION_REPLIES.ack);
  assert.equal(await type(OPTIONS.abort), OPTION_REPLIES.ack);
  await client.closed;
});

test('requests that cannot be are refused with their number, and the next one is served', async () => {
  await using site = await served();
  const client = new RawClient(site.socketPath);
  await client.open();
  const errnoOf = async (...request: Parameters<RawClient['request']>) => {
    client.request(...request);
    return await client.errno();
  };
  const { read, trim, writeZeroes, flush, blockStatus, write } = COMMANDS;
  assert.equal(await errnoOf(read, disk.sizeBytes, 1), 22);
  assert.equal(await errnoOf(read, disk.sizeBytes - 1, 2), 22);
  assert.equal(await errnoOf(read, 0, 0xffffffff), 22);
  assert.equal(await errnoOf(read, 2 ** 53 - 1, 1), 22);
  assert.equal(await errnoOf(read, 0, 1, 0xff), 22);
  assert.equal(await errnoOf(blockStatus, 0, 0), 22);
  assert.equal(await errnoOf(blockStatus, 1, disk.sizeBytes), 22);
  assert.equal(await errnoOf(77, 0, 1), 22);
  assert.equal(await errnoOf(trim, 0, 4096), 1);
  assert.equal(await errnoOf(writeZeroes, 0, 4096), 1);
  assert.equal(await errnoOf(flush, 0, 0), 0);
  assert.equal(await errnoOf(read, 0, 0), 0);
  client.request(write, 0, 200_000);
  client.socket.write(Buffer.alloc(200_000, 7));
  assert.equal(await client.errno(), 1);
  assert.equal(await errnoOf(read, disk.sizeBytes - 1, 1), 0);
  client.request(write, 0, 0xffffffff);
  await client.closed;
  await assertServed(site.socketPath);
});

test('a client that asks for much and takes nothing is held at a few megabytes, and gets more when it reads on', async () => {
  let [loaded, largest, calls] = [0, 0, 0];
  const source: NbdSource = {
    sizeBytes: 64 * MIB,
    read: async (_offset, length) => {
      loaded += length;
      calls += 1;
      largest = Math.max(largest, length);
      return Buffer.alloc(length, 5);
    },
  };
  await using site = await served(source);
  const client = new RawClient(site.socketPath);
  await client.open();
  client.socket.pause();
  for (let at = 0; at < 400; at += 1) client.request(COMMANDS.read, (at % 2) * 32 * MIB, 32 * MIB);
  for (let turns = 0; turns < 500; turns += 1) await turn();
  assert.ok(loaded <= 12 * MIB, `${loaded} bytes were loaded by ${calls} calls`);
  assert.ok(largest <= MIB);
  client.socket.resume();
  for (let pieces = 0; pieces < 100; pieces += 1) {
    const { type, lengthBytes } = decodeChunkHeader((await client.reader.take(20)).subarray(4));
    assert.equal(type, CHUNKS.data);
    await client.reader.skip(lengthBytes);
  }
  const before = loaded;
  client.socket.destroy();
  await client.closed;
  for (let turns = 0; turns < 100; turns += 1) await turn();
  assert.ok(loaded - before <= 12 * MIB, 'nothing is read for a client that is gone');
});

test('a hundred clients that stop half-way cost little, hold up nobody, and are cut after ten seconds', async () => {
  await using site = await served();
  mock.timers.enable({ apis: ['setTimeout'] });
  try {
    const beforeBytes = process.memoryUsage.rss();
    const clients = Array.from({ length: 100 }, () => new RawClient(site.socketPath));
    for (const [index, client] of clients.entries()) {
      if (index % 2 === 0) await client.greet();
      if (index % 4 === 0) client.socket.write(optionRequest(OPTIONS.go, goRequest('vda')).subarray(0, 20));
    }
    await Promise.all(clients.map((client) => client.socket.connecting && once(client.socket, 'connect')));
    const opened = new RawClient(site.socketPath);
    await opened.open();
    assert.ok(process.memoryUsage.rss() - beforeBytes < 50 * MIB);
    mock.timers.tick(9_999);
    opened.request(COMMANDS.read, 0, 1000);
    assert.equal(await opened.errno(), 0);
    assert.equal(clients.filter(({ socket }) => socket.destroyed).length, 0);
    mock.timers.tick(2);
    await Promise.all(clients.map(({ closed }) => closed));
    mock.timers.tick(3_600_000);
    opened.request(COMMANDS.read, 0, 1000);
    assert.equal(await opened.errno(), 0, 'a client with an open disk may be silent for as long as it likes');
    opened.socket.destroy();
  } finally {
    mock.timers.reset();
  }
});

test('a client that goes in the middle of requests leaves nothing behind', async () => {
  const started: (() => void)[] = [];
  const source: NbdSource = {
    sizeBytes: MIB,
    read: (_offset, length) => new Promise((resolve) => started.push(() => resolve(Buffer.alloc(length)))),
  };
  await using site = await served(source);
  const client = new RawClient(site.socketPath);
  await client.open();
  for (let at = 0; at < 20; at += 1) client.request(COMMANDS.read, 0, MIB);
  while (started.length < 8) await turn();
  client.socket.destroy();
  await client.closed;
  for (let turns = 0; turns < 50; turns += 1) await turn();
  assert.equal(started.length, 8, 'the others never began');
  for (const finish of started) finish();
  for (let turns = 0; turns < 50; turns += 1) await turn();
  assert.equal(started.length, 8);
});
