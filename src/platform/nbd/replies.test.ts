/** Servers that keep to the protocol, but use all the freedom that it gives them. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connectNbd } from './index.ts';
import { type RandomDisk, randomDisk, randomNumbers } from './random-disk.test-data.ts';
import {
  chunk,
  dataChunk,
  holeChunk,
  nextRequest,
  openForClient,
  type PeerSide,
  scriptedPeer,
} from './scripted-peer.test-data.ts';
import { CHUNKS, encodeSimpleReply, type NbdRequest, uint32 } from './wire.ts';

const seed = Number(process.env['HV_TEST_SEED'] ?? 1);
const CONTEXTS = ['base:allocation', 'qemu:dirty-bitmap:backup-vda'];

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-nbd-replies-'));
});
after(() => rm(folder, { recursive: true, force: true }));

type Random = (limit: number) => number;

/** Sends bytes in fragments that end anywhere. */
async function inFragments({ socket }: PeerSide, bytes: Buffer, random: Random): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + random(random(3) === 0 ? 40_000 : 60);
    socket.write(bytes.subarray(at, at + size));
    at += size;
    if (random(4) === 0) await turn();
  }
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  return items
    .map((item) => ({ item, rank: random(2 ** 30) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** A read in pieces of any size, zeros as holes or as data; the last piece ends it, or an empty one. */
function piecesOf(disk: RandomDisk, { cookie, offsetBytes, lengthBytes }: NbdRequest, random: Random): Buffer[] {
  const ranges: [number, number][] = [];
  for (let at = offsetBytes; at < offsetBytes + lengthBytes; ) {
    const size = Math.min(1 + random(8000), offsetBytes + lengthBytes - at);
    ranges.push([at, size]);
    at += size;
  }
  const endsEmpty = random(2) === 0;
  const order = shuffled(ranges, random);
  const pieces = order.map(([at, size], index) => {
    const isDone = !endsEmpty && index === order.length - 1;
    const data = disk.bytes.subarray(at, at + size);
    const isZero = data.every((byte) => byte === 0);
    return isZero && random(4) > 0 ? holeChunk(cookie, at, size, isDone) : dataChunk(cookie, at, data, isDone);
  });
  return endsEmpty ? [...pieces, chunk(cookie, CHUNKS.none, [])] : pieces;
}

test('pieces in any order, of several reads at once, in any fragments, become what was asked for', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const random = randomNumbers(seed);
  const disk = randomDisk(seed, 600_000, 30_000);
  const rounds = 12;
  const together = 5;
  await using peer = await scriptedPeer(join(folder, 'pieces.sock'), async (side) => {
    await openForClient(side, { sizeBytes: disk.sizeBytes, isStructured: true });
    for (let round = 0; round < rounds; round += 1) {
      const queues: Buffer[][] = [];
      for (let at = 0; at < together; at += 1) queues.push(piecesOf(disk, await nextRequest(side), random));
      while (queues.some((queue) => queue.length > 0)) {
        const piece = queues[random(queues.length)]?.shift();
        if (piece) await inFragments(side, piece, random);
      }
    }
  });
  const connection = await connectNbd(peer, { exportName: 'vda' });
  for (let round = 0; round < rounds; round += 1) {
    const reads = Array.from({ length: together }, async () => {
      const offsetBytes = random(disk.sizeBytes);
      const lengthBytes = 1 + random(Math.min(100_000, disk.sizeBytes - offsetBytes));
      const data = await connection.read(offsetBytes, lengthBytes);
      assert.ok(data.equals(disk.bytes.subarray(offsetBytes, offsetBytes + lengthBytes)));
    });
    await Promise.all(reads);
  }
  await connection.close();
});

test('a server without structured replies is read too, and grants no contexts', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const random = randomNumbers(seed);
  const disk = randomDisk(seed, 300_000, 30_000);
  await using peer = await scriptedPeer(join(folder, 'simple.sock'), async (side) => {
    await openForClient(side, { sizeBytes: disk.sizeBytes, isStructured: false });
    for (;;) {
      const requests = shuffled([await nextRequest(side), await nextRequest(side), await nextRequest(side)], random);
      for (const { cookie, offsetBytes, lengthBytes } of requests) {
        const isBad = offsetBytes < 10_000;
        const data = isBad ? Buffer.alloc(0) : disk.bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
        await inFragments(side, Buffer.concat([encodeSimpleReply(cookie, isBad ? 5 : 0), data]), random);
      }
    }
  });
  const connection = await connectNbd(peer, { exportName: 'vda', contexts: CONTEXTS });
  assert.equal(connection.contexts.size, 0);
  for (let round = 0; round < 10; round += 1) {
    const reads = Array.from({ length: 3 }, async () => {
      const offsetBytes = random(disk.sizeBytes);
      const lengthBytes = 1 + random(disk.sizeBytes - offsetBytes);
      const reading = connection.read(offsetBytes, lengthBytes);
      if (offsetBytes < 10_000) await assert.rejects(reading, { code: 'nbd_read_failed' });
      else assert.ok((await reading).equals(disk.bytes.subarray(offsetBytes, offsetBytes + lengthBytes)));
    });
    await Promise.all(reads);
  }
  await connection.close();
});

test('extents come in any number of answers, joined where they are alike and cut at the end', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const random = randomNumbers(seed);
  const sizeBytes = 6 * 2 ** 30; // more than one answer can hold
  const asked: number[] = [];
  await using peer = await scriptedPeer(join(folder, 'extents.sock'), async (side) => {
    await openForClient(side, { sizeBytes, isStructured: true, contexts: CONTEXTS });
    for (;;) {
      const { cookie, offsetBytes, lengthBytes } = await nextRequest(side);
      asked.push(lengthBytes);
      const numbers = [2];
      // A part of what was asked for, in short extents of equal flags, up to the next border of 1 GiB; the last goes beyond the end.
      const border = (Math.floor(offsetBytes / 2 ** 30) + 1) * 2 ** 30;
      for (let at = offsetBytes; at < Math.min(border, offsetBytes + lengthBytes); ) {
        const size = border - at > 2 ** 28 ? 1 + random(2 ** 28) : border - at + (border === sizeBytes ? 4096 : 0);
        numbers.push(size, Math.floor(at / 2 ** 30) % 2);
        at += size;
      }
      const other = chunk(cookie, CHUNKS.blockStatus, [1, lengthBytes, 0].map(uint32), { isDone: false });
      await inFragments(side, Buffer.concat([other, chunk(cookie, CHUNKS.blockStatus, numbers.map(uint32))]), random);
    }
  });
  const connection = await connectNbd(peer, { exportName: 'vda', contexts: CONTEXTS });
  assert.deepEqual(
    await Array.fromAsync(connection.extents('qemu:dirty-bitmap:backup-vda')),
    [0, 1, 2, 3, 4, 5].map((at) => ({ offsetBytes: at * 2 ** 30, lengthBytes: 2 ** 30, flags: at % 2 })),
  );
  assert.ok(Math.max(...asked) <= 0x7fff0000);
  await connection.close();
});
