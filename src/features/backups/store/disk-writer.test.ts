/** Writing a disk: what is asked for only when there is room, and what a chunk that cannot be had leaves behind. */

import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { createDiskWriter } from './disk-writer.ts';
import type { StoredObject } from './objects.ts';
import { createRoom } from './room.ts';

const CHUNK_BYTES = 65_536;
const CHUNKS = 8;

/** A disk whose store has room for two chunks, and finishes with one when told. */
function writerWithRoomForTwo() {
  const storing: (() => void)[] = [];
  const room = createRoom(2 * CHUNK_BYTES, CHUNKS);
  const writer = createDiskWriter({
    sizeBytes: CHUNKS * CHUNK_BYTES,
    chunkSizeBytes: CHUNK_BYTES,
    index: {
      set: async () => undefined,
      fillZero: async () => undefined,
      touchedPages: () => [],
      page: async () => Buffer.alloc(0),
      setIds: () => Readable.from([]),
      close: async () => undefined,
    },
    parentPages: null,
    objects: {
      store: async () => {
        await new Promise<void>((done) => storing.push(done));
        return { id: null, storedBytes: 0 } satisfies StoredObject;
      },
      takeUnsyncedFolders: () => [],
    },
    room,
  });
  return { writer, room, finishOne: () => storing.shift()?.() };
}

test('a chunk is asked for when there is room for it, and not before', async () => {
  const { writer, finishOne } = writerWithRoomForTwo();
  const asked: number[] = [];
  const read = (chunk: number) => async () => {
    asked.push(chunk);
    return Buffer.alloc(CHUNK_BYTES);
  };
  const writes = [0, 1, 2, 3].map((chunk) => writer.write(chunk, read(chunk)));
  await turn();
  assert.deepEqual(asked, [0, 1]);
  finishOne();
  await turn();
  assert.deepEqual(asked, [0, 1, 2]);
  for (let n = 0; n < 3; n += 1) {
    finishOne();
    await turn();
  }
  await Promise.all(writes);
  assert.deepEqual(asked, [0, 1, 2, 3]);
});

test('a chunk that cannot be had gives its room back, and the disk goes on', async () => {
  const { writer, room, finishOne } = writerWithRoomForTwo();
  const broken = new Error('the disk does not answer');
  await assert.rejects(
    writer.write(0, async () => Promise.reject(broken)),
    broken,
  );
  await assert.rejects(
    writer.write(0, async () => Buffer.alloc(1)),
    RangeError,
  );
  await room.empty();
  const again = writer.write(0, async () => Buffer.alloc(CHUNK_BYTES));
  await again;
  finishOne();
  const { stats } = await writer.finish();
  assert.equal(stats.receivedBytes, CHUNK_BYTES);
});
