/** Our client against our server: what one writes, the other reads. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { mapLimit } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
import {
  ALLOCATION_CONTEXT,
  connectNbd,
  EXTENT_FLAGS,
  type NbdAddress,
  type NbdConnection,
  type NbdExtent,
  type NbdServer,
  type NbdSource,
  serveNbd,
} from './index.ts';
import { randomDisk, randomNumbers } from './random-disk.test-data.ts';

const MIB = 2 ** 20;
const seed = Number(process.env['HV_TEST_SEED'] ?? 1);

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-nbd-'));
});
after(() => rm(folder, { recursive: true, force: true }));

interface Site extends AsyncDisposable {
  readonly address: NbdAddress;
  readonly socketPath: string;
  readonly server: NbdServer;
  /** What the server told of reads that failed. */
  readonly readErrors: readonly [string, unknown][];
}

async function served(name: string, exports: ReadonlyMap<string, NbdSource>): Promise<Site> {
  const socketPath = join(folder, `${name}.sock`);
  const readErrors: [string, unknown][] = [];
  const server = await serveNbd({ socketPath, exports, onReadError: (disk, error) => readErrors.push([disk, error]) });
  return { address: { socketPath }, socketPath, readErrors, server, [Symbol.asyncDispose]: () => server.close() };
}

async function allOf(extents: AsyncIterable<NbdExtent>): Promise<NbdExtent[]> {
  return await Array.fromAsync(extents);
}

test('a random disk is read as it is, in random parts, many at once', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const disk = randomDisk(seed, 5 * MIB + 777, 300_000);
  await using site = await served('random', new Map([['vda', disk]]));
  const connection: NbdConnection = await connectNbd(site.address, { exportName: 'vda' });
  assert.equal(connection.sizeBytes, disk.sizeBytes);
  const random = randomNumbers(seed + 1);
  const parts = Array.from({ length: 60 }, () => {
    const offsetBytes = random(disk.sizeBytes);
    return { offsetBytes, lengthBytes: 1 + random(disk.sizeBytes - offsetBytes) };
  });
  await mapLimit(parts, 8, async ({ offsetBytes, lengthBytes }) => {
    const data = await connection.read(offsetBytes, lengthBytes);
    assert.ok(
      data.equals(disk.bytes.subarray(offsetBytes, offsetBytes + lengthBytes)),
      `${lengthBytes} at ${offsetBytes}`,
    );
    assert.equal(data.buffer.byteLength, lengthBytes, 'the memory is its own');
  });
  assert.equal((await connection.read(disk.sizeBytes, 0)).length, 0);
  await connection.close();
});

test('extents are those of the source, whichever range is asked for', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const disk = randomDisk(seed, 3 * MIB, 20_000, 4096);
  await using site = await served('extents', new Map([['vda', disk]]));
  const asked = [ALLOCATION_CONTEXT, 'qemu:dirty-bitmap:backup-vda'];
  const connection = await connectNbd(site.address, { exportName: 'vda', contexts: asked });
  assert.deepEqual([...connection.contexts], [ALLOCATION_CONTEXT]);
  const random = randomNumbers(seed + 2);
  for (let round = 0; round < 20; round += 1) {
    const offsetBytes = random(disk.sizeBytes);
    const lengthBytes = random(disk.sizeBytes - offsetBytes);
    let at = offsetBytes;
    const expected = (await disk.extents(offsetBytes, lengthBytes)).map((extent) => {
      const flags = extent.isZero ? EXTENT_FLAGS.hole | EXTENT_FLAGS.zero : 0;
      at += extent.lengthBytes;
      return { offsetBytes: at - extent.lengthBytes, lengthBytes: extent.lengthBytes, flags };
    });
    assert.deepEqual(await allOf(connection.extents(ALLOCATION_CONTEXT, { offsetBytes, lengthBytes })), expected);
  }
  await assert.rejects(allOf(connection.extents('qemu:dirty-bitmap:backup-vda')), TypeError);
  await connection.close();
});

test('a disk of 5 TiB without extents is one range of data, and is read at its end', async () => {
  const sizeBytes = 5 * 2 ** 40;
  const source: NbdSource = { sizeBytes, read: async (offset, length) => Buffer.alloc(length, (offset / MIB) % 251) };
  await using site = await served('huge', new Map([['', source]]));
  const connection = await connectNbd(site.address, { exportName: '', contexts: [ALLOCATION_CONTEXT] });
  assert.deepEqual(await allOf(connection.extents(ALLOCATION_CONTEXT)), [
    { offsetBytes: 0, lengthBytes: sizeBytes, flags: 0 },
  ]);
  const data = await connection.read(sizeBytes - 32 * MIB, 32 * MIB);
  for (let at = 0; at < 32; at += 1) assert.equal(data[at * MIB], (sizeBytes / MIB - 32 + at) % 251);
  await connection.close();
});

test('a part that cannot be read fails alone, with its place, and the server tells why', async () => {
  const disk = randomDisk(seed, 4 * MIB, 9 * MIB);
  const source: NbdSource = {
    sizeBytes: disk.sizeBytes,
    read: async (offset, length) => {
      if (offset >= 2 * MIB && offset < 3 * MIB) throw new Error('chunk 2 is bad');
      return await disk.read(offset, length);
    },
  };
  const short: NbdSource = { sizeBytes: MIB, read: async () => Buffer.alloc(5) };
  await using site = await served(
    'bad',
    new Map([
      ['vda', source],
      ['short', short],
    ]),
  );
  const connection = await connectNbd(site.address, { exportName: 'vda' });
  const results = await Promise.allSettled([0, 1, 2, 3].map((at) => connection.read(at * MIB, MIB)));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'fulfilled'],
  );
  await assert.rejects(connection.read(MIB + 5, 2 * MIB), (error) => {
    assert.ok(error instanceof AppError);
    assert.equal(error.code, 'nbd_read_failed');
    assert.deepEqual(error.params, { errno: 5, offsetBytes: MIB + 5, lengthBytes: 2 * MIB });
    return true;
  });
  const other = await connectNbd(site.address, { exportName: 'short' });
  await assert.rejects(other.read(0, 100), { code: 'nbd_read_failed' });
  assert.deepEqual(
    site.readErrors.map(([name]) => name),
    ['vda', 'vda', 'short'],
  );
  assert.match(String(site.readErrors[0]?.[1]), /chunk 2 is bad/);
  await connection.close();
  await other.close();
});

test('what is outside of the disk is refused before it is asked for', async () => {
  await using site = await served('outside', new Map([['vda', randomDisk(seed, 1000, 100)]]));
  const connection = await connectNbd(site.address, { exportName: 'vda', contexts: [ALLOCATION_CONTEXT] });
  for (const [offset, length] of [
    [0, 1001],
    [1000, 1],
    [-1, 10],
    [0.5, 1],
    [0, -1],
    [Number.NaN, 1],
    [0, 2 ** 53],
  ] as const) {
    await assert.rejects(connection.read(offset, length), RangeError, `${offset} ${length}`);
    const range = { offsetBytes: offset, lengthBytes: length };
    await assert.rejects(allOf(connection.extents(ALLOCATION_CONTEXT, range)), RangeError);
  }
  await connection.close();
});

test('a disk that is not there is refused with its name', async () => {
  await using site = await served('missing', new Map([['vda', randomDisk(seed, 1000, 100)]]));
  await assert.rejects(connectNbd(site.address, { exportName: 'vdb', contexts: [ALLOCATION_CONTEXT] }), {
    code: 'nbd_refused',
    message: /"vdb": it has no disk of this name/,
  });
  await assert.rejects(connectNbd({ socketPath: join(folder, 'none.sock') }, { exportName: 'vda' }), {
    code: 'nbd_unreachable',
  });
});

test('after close, and after the server is gone, whatever is pending has failed', async () => {
  const waiting: NbdSource = { sizeBytes: MIB, read: () => new Promise(() => undefined) };
  const site = await served('pending', new Map([['vda', waiting]]));
  const connection = await connectNbd(site.address, { exportName: 'vda' });
  const pending = Promise.allSettled([connection.read(0, 10), connection.read(10, 10)]);
  await connection.close();
  for (const result of await pending) assert.equal(result.status === 'rejected' && result.reason.code, 'cancelled');
  await assert.rejects(connection.read(0, 10), { code: 'cancelled' });
  await connection.close();

  const second = await connectNbd(site.address, { exportName: 'vda' });
  const lost = Promise.allSettled([second.read(0, 10), second.read(10, 10)]);
  await site.server.close();
  for (const result of await lost) assert.equal(result.status === 'rejected' && result.reason.code, 'nbd_unreachable');
  await assert.rejects(second.read(0, 10), { code: 'nbd_unreachable' });
  await second.close();
});

test('the signal closes the connection at any time, with its reason', async () => {
  const waiting: NbdSource = { sizeBytes: MIB, read: () => new Promise(() => undefined) };
  await using site = await served('signal', new Map([['vda', waiting]]));
  const controller = new AbortController();
  const reason = new Error('the backup was cancelled');
  const connection = await connectNbd(site.address, { exportName: 'vda', signal: controller.signal });
  const pending = connection.read(0, 10);
  controller.abort(reason);
  await assert.rejects(pending, reason);
  await assert.rejects(connection.read(0, 10), reason);
  await assert.rejects(connectNbd(site.address, { exportName: 'vda', signal: controller.signal }), reason);
  const later = new AbortController();
  const opening = connectNbd(site.address, { exportName: 'vda', signal: later.signal });
  later.abort(reason);
  await assert.rejects(opening, reason);
});

test('the socket lets in its owner and group; one that was left behind is replaced, one in use is not', async () => {
  const exports = new Map([['vda', randomDisk(seed, 1000, 100)]]);
  const socketPath = join(folder, 'mode.sock');
  const abandoned = createServer().listen(`${socketPath}.first`);
  await once(abandoned, 'listening');
  await rename(`${socketPath}.first`, socketPath); // so that closing does not remove it
  await new Promise((resolve) => abandoned.close(resolve));
  assert.ok((await stat(socketPath)).isSocket());

  await writeFile(join(folder, 'file.sock'), 'kept');
  await assert.rejects(serveNbd({ socketPath: join(folder, 'file.sock'), exports }), { code: 'EADDRINUSE' });
  assert.equal(await readFile(join(folder, 'file.sock'), 'utf8'), 'kept');

  await using site = await served('mode', exports);
  assert.equal((await stat(socketPath)).mode & 0o777, 0o660);
  await assert.rejects(serveNbd({ socketPath, exports }), { code: 'EADDRINUSE' });
  const connection = await connectNbd(site.address, { exportName: 'vda' });
  await connection.close();
  await site.server.close();
  await assert.rejects(stat(socketPath), { code: 'ENOENT' });
});
