/** Clients that know less of the protocol than QEMU: without structured replies, without GO. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { serveNbd } from './index.ts';
import { randomDisk } from './random-disk.test-data.ts';
import { goRequest, RawClient } from './raw-client.test-data.ts';
import { COMMANDS, getUint64, OPTIONS, optionRequest, SIMPLE_REPLY_MAGIC } from './wire.ts';

const MIB = 2 ** 20;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const disk = randomDisk(seed, 3 * MIB + 100, 100_000);
const source = {
  ...disk,
  read: async (offset: number, length: number) => {
    if (offset >= 2 * MIB) throw new Error('bad chunk');
    return await disk.read(offset, length);
  },
};

let folder = '';
let server: { close(): Promise<void> };
let socketPath = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-nbd-plain-'));
  socketPath = join(folder, 'nbd.sock');
  server = await serveNbd({ socketPath, exports: new Map([['vda', source]]) });
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true, force: true });
});

/** Reads with simple replies: header, then all of the data at once. */
async function readsPlainly(client: RawClient): Promise<void> {
  const reply = async () => {
    assert.equal((await client.reader.take(4)).readUInt32BE(0), SIMPLE_REPLY_MAGIC);
    return (await client.reader.take(12)).readUInt32BE(0);
  };
  client.request(COMMANDS.read, 5, 2 * MIB - 5);
  assert.equal(await reply(), 0);
  assert.ok((await client.reader.take(2 * MIB - 5)).equals(disk.bytes.subarray(5, 2 * MIB)));
  client.request(COMMANDS.read, 0, 3 * MIB);
  assert.equal(await reply(), 5, 'an error is known before any data');
  client.request(COMMANDS.read, disk.sizeBytes, 1);
  assert.equal(await reply(), 22);
  client.request(COMMANDS.blockStatus, 0, 1);
  assert.equal(await reply(), 22);
  client.request(COMMANDS.read, 0, 0);
  assert.equal(await reply(), 0);
  client.request(COMMANDS.disconnect, 0, 0);
  await client.closed;
}

test('a client that opens by GO alone gets simple replies', async () => {
  const client = new RawClient(socketPath);
  await client.greet();
  await client.option(OPTIONS.go, goRequest('vda'));
  await client.optionReply();
  await readsPlainly(client);
});

for (const [flags, padding] of [
  [3, 0],
  [1, 124],
] as const)
  test(`a client that opens by EXPORT_NAME with flags ${flags} gets size, flags and ${padding} zeros`, async () => {
    const client = new RawClient(socketPath);
    await client.greet(flags);
    client.socket.write(optionRequest(OPTIONS.exportName, Buffer.from('vda')));
    const answer = await client.reader.take(10 + padding);
    assert.equal(getUint64(answer, 0), disk.sizeBytes);
    assert.equal(answer.readUInt16BE(8), 0x103);
    assert.ok(answer.subarray(10).equals(Buffer.alloc(padding)));
    await readsPlainly(client);
  });
