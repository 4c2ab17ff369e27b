import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { ByteReader } from './byte-reader.ts';
import { randomNumbers } from './random-disk.test-data.ts';

const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const gone = () => new Error('gone');

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-bytes-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** A socket that reads straight to where bytes are wanted, and the other end of it. */
async function socketPair(name: string) {
  const server = createServer().listen(join(folder, `${name}.sock`));
  await once(server, 'listening');
  const reader = new ByteReader();
  const here = connect({ path: join(folder, `${name}.sock`), onread: reader.directReads() });
  reader.attach(here, gone);
  const [there]: Socket[] = await once(server, 'connection');
  assert.ok(there);
  return {
    reader,
    here,
    there,
    async [Symbol.asyncDispose]() {
      here.destroy();
      there.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('bytes come in order however they are cut and in whatever amounts they are asked for', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(sizes, sizes, async (pieces, amounts) => {
      const total = pieces.reduce((sum, size) => sum + size, 0);
      const random = randomNumbers(total);
      const sent = Buffer.from(Uint8Array.from({ length: total }, () => random(256)));
      const stream = new PassThrough();
      const reader = new ByteReader();
      reader.attachFlowing(stream, gone);
      const sending = (async () => {
        let at = 0;
        for (const size of pieces) {
          stream.write(sent.subarray(at, at + size));
          at += size;
          if (size % 3 === 0) await turn();
        }
        stream.end();
      })();
      let at = 0;
      for (let asked = 0; at < total; asked += 1) {
        const amount = Math.min(amounts[asked % amounts.length] ?? 1, total - at);
        if (asked % 5 === 4) await reader.skip(amount);
        else assert.ok((await reader.take(amount)).equals(sent.subarray(at, at + amount)));
        at += amount;
      }
      await sending;
      await assert.rejects(reader.take(1), /gone/);
    }),
  );
});

test('a socket reads the same bytes straight to where they are wanted, and writes nowhere else', async (context) => {
  context.diagnostic(`seed ${seed}`);
  await using pair = await socketPair('direct');
  const random = randomNumbers(seed);
  const sent = Buffer.alloc(4 * 2 ** 20, Buffer.from(Array.from({ length: 9973 }, () => random(256))));
  const sending = (async () => {
    for (let at = 0; at < sent.length; ) {
      const size = 1 + random(random(4) === 0 ? 300_000 : 900);
      if (!pair.there.write(sent.subarray(at, at + size))) await once(pair.there, 'drain');
      at += size;
      if (random(8) === 0) await turn();
    }
  })();
  const received: { readonly at: number; readonly bytes: Buffer }[] = [];
  for (let at = 0; at < sent.length; ) {
    const bytes = Buffer.alloc(Math.min(1 + random(random(2) === 0 ? 400_000 : 40), sent.length - at));
    await pair.reader.readInto(bytes);
    received.push({ at, bytes });
    at += bytes.length;
    if (random(50) === 0) await turn();
  }
  await sending;
  // Compared at the end: what was handed out must not change when more is read.
  for (const { at, bytes } of received)
    assert.ok(bytes.equals(sent.subarray(at, at + bytes.length)), `${bytes.length} bytes at ${at}`);
});

test('what nobody has read yet stays as it is while more comes', async () => {
  await using pair = await socketPair('stays');
  const sent = Buffer.from(Array.from({ length: 5_000 }, (_, at) => (at * 7) % 256));
  for (let at = 0; at < sent.length; at += 100) {
    pair.there.write(sent.subarray(at, at + 100));
    while (pair.here.bytesRead < at + 100) await turn();
    if (at === 2_000) assert.ok((await pair.reader.take(950)).equals(sent.subarray(0, 950)));
  }
  assert.ok((await pair.reader.take(4_050)).equals(sent.subarray(950)));
});

for (const kind of ['direct', 'flowing'] as const)
  test(`${kind}: a peer that sends what nobody asks for is not read on`, async () => {
    await using pair = await socketPair(`flood-${kind}`);
    const reader = kind === 'direct' ? pair.reader : new ByteReader();
    const socket = kind === 'direct' ? pair.here : pair.there;
    const peer = kind === 'direct' ? pair.there : pair.here;
    if (kind === 'flowing') reader.attachFlowing(socket, gone);
    const flood = Buffer.alloc(8 * 2 ** 20, Buffer.from(Array.from({ length: 251 }, (_, at) => at)));
    peer.write(flood);
    for (let turns = 0; turns < 500; turns += 1) await turn();
    assert.ok(socket.bytesRead < 300_000, `${socket.bytesRead} bytes were read`);
    const all = Buffer.alloc(flood.length);
    await reader.readInto(all.subarray(0, 10));
    await reader.readInto(all.subarray(10, 70_000));
    await reader.readInto(all.subarray(70_000));
    assert.ok(all.equals(flood));
  });

test('the end of the stream is heard by whoever waits, after the bytes before it were read', async () => {
  await using pair = await socketPair('end');
  pair.there.write('abc');
  const waiting = pair.reader.take(10);
  pair.there.end();
  await assert.rejects(waiting, /gone/);
  await assert.rejects(pair.reader.take(1), /gone/);
  const early = new ByteReader();
  const stream = new PassThrough();
  early.attachFlowing(stream, gone);
  stream.end('abc');
  await once(stream, 'close');
  assert.equal((await early.take(3)).toString(), 'abc');
  await assert.rejects(early.take(1), /gone/);
});

test('two cannot read at once', async () => {
  const reader = new ByteReader();
  const first = reader.take(1);
  await assert.rejects(reader.take(1), TypeError);
  reader.fail(gone());
  await assert.rejects(first, /gone/);
});
