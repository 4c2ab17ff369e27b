/** Pools, volumes and their streams against a real libvirtd: byte-identical uploads and downloads, sparse ones, aborts, a full disk. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createLibvirtHost,
  isHole,
  type LibvirtError,
  type LibvirtHost,
  receiveFile,
  sendFile,
  type VolumeRef,
} from '#libvirt/index.ts';
import { runChecked } from '#platform/process.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const MIB = 2 ** 20;

describe('storage through the libvirt client', { skip }, () => {
  let daemon: PrivateLibvirtd;
  let host: LibvirtHost;
  let pool: string;

  const poolXml = (name: string, path: string) =>
    `<pool type='dir'><name>${name}</name><target><path>${path}</path></target></pool>`;
  const volumeXml = (name: string, bytes: number) =>
    `<volume><name>${name}</name><capacity unit='bytes'>${bytes}</capacity><allocation>0</allocation><target><format type='raw'/></target></volume>`;
  const path = (volume: VolumeRef) => join(daemon.dir, 'pool', volume.name);

  before(async () => {
    daemon = await startPrivateLibvirtd();
    host = createLibvirtHost({ uri: daemon.uri });
    await host.start();
    const ref = await host.pools.define(poolXml('p', join(daemon.dir, 'pool')));
    pool = ref.uuid;
    await host.pools.build(pool);
    await host.pools.create(pool);
  });
  after(async () => {
    await host?.stop();
    await daemon?.close();
  });

  test('pools are listed, described and tell their size', async () => {
    assert.deepEqual(
      (await host.pools.list()).map(({ name }) => name),
      ['p'],
    );
    const info = await host.pools.info(pool);
    assert.equal(info.state, 'running');
    assert.ok(info.availableBytes > MIB);
    assert.match(await host.pools.xml(pool), /<name>p<\/name>/);
    await host.pools.setAutostart(pool, true);
    await host.pools.refresh(pool);
  });

  test('volumes are made, found, resized, cloned and deleted', async () => {
    const volume = await host.volumes.create(pool, volumeXml('a', MIB));
    assert.equal(volume.key, path(volume));
    assert.deepEqual(await host.volumes.byName('p', 'a'), volume);
    assert.deepEqual(await host.volumes.byPath(path(volume)), volume);
    await host.volumes.resize(volume, BigInt(2 * MIB));
    assert.equal((await host.volumes.info(volume)).capacityBytes, BigInt(2 * MIB));
    const copy = await host.volumes.clone(pool, volumeXml('b', 2 * MIB), volume);
    assert.equal((await host.volumes.list(pool)).length, 2);
    await assert.rejects(
      host.volumes.create(pool, volumeXml('a', MIB)),
      (error: LibvirtError) => error.code === 'already_exists',
    );
    await host.volumes.delete(volume);
    await host.volumes.delete(copy);
    await assert.rejects(host.volumes.info(volume), (error: LibvirtError) => error.code === 'not_found');
  });

  test('an upload and a download are byte-identical', async () => {
    const size = 24 * MIB + 12_345;
    const data = Buffer.alloc(size);
    for (let at = 0; at < size; at += 4096)
      data.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, Math.min(at, size - 4));
    const volume = await host.volumes.create(pool, volumeXml('up', size));
    await pipeline(Readable.from(chunksOf(data, [1, 1000, 65_536, 300_000])), await host.volumes.upload(volume));
    assert.ok((await readFile(path(volume))).equals(data));
    assert.equal(await digestOf(await host.volumes.download(volume)), createHash('sha256').update(data).digest('hex'));
    const part = await digestOf(await host.volumes.download(volume, { offsetBytes: 1000n, lengthBytes: 5000n }));
    assert.equal(part, createHash('sha256').update(data.subarray(1000, 6000)).digest('hex'));
    await host.volumes.delete(volume);
  });

  test('a file is sent whole, with progress, and a failing one leaves no hanging stream', async () => {
    const source = join(daemon.dir, 'source.raw');
    await runChecked(['dd', 'if=/dev/urandom', `of=${source}`, 'bs=100003', 'count=50'], { timeoutMs: 10_000 });
    const volume = await host.volumes.create(pool, volumeXml('sent', 50 * 100_003));
    let progress = 0;
    await sendFile(await host.volumes.upload(volume), source, {
      onProgress: (sentBytes) => {
        progress = sentBytes;
      },
    });
    assert.equal(progress, 50 * 100_003);
    await runChecked(['cmp', source, path(volume)], { timeoutMs: 10_000 });
    const received = join(daemon.dir, 'received.raw');
    await receiveFile(await host.volumes.download(volume), received);
    await runChecked(['cmp', source, received], { timeoutMs: 10_000 });
    const before = host.openConnections;
    await assert.rejects(sendFile(await host.volumes.upload(volume), '/nonexistent'), /ENOENT/);
    for (let turn = 0; turn < 100 && host.openConnections > before; turn += 1) await sleep(10);
    assert.equal(host.openConnections, before);
    await host.volumes.delete(volume);
  });

  test('a sparse volume crosses as data and holes, and stays sparse', async () => {
    const size = 64 * MIB;
    const source = await host.volumes.create(pool, volumeXml('sparse-a', size));
    const target = await host.volumes.create(pool, volumeXml('sparse-b', size));
    await runChecked(
      ['dd', 'if=/dev/urandom', `of=${path(source)}`, 'bs=4096', 'count=1', 'seek=5000', 'conv=notrunc'],
      { timeoutMs: 10_000 },
    );
    let dataBytes = 0;
    let holeBytes = 0;
    const download = await host.volumes.download(source, { sparse: true });
    const counted = async function* () {
      for await (const item of download) {
        if (isHole(item)) holeBytes += item.holeBytes;
        else dataBytes += item.length;
        yield item;
      }
    };
    await pipeline(Readable.from(counted()), await host.volumes.upload(target, { sparse: true }));
    assert.equal(dataBytes + holeBytes, size);
    assert.ok(dataBytes < MIB);
    await runChecked(['cmp', path(source), path(target)], { timeoutMs: 30_000 });
    assert.ok((await stat(path(target))).blocks * 512 < MIB);
    const received = join(daemon.dir, 'sparse.raw');
    await receiveFile(await host.volumes.download(source, { sparse: true }), received);
    await runChecked(['cmp', path(source), received], { timeoutMs: 30_000 });
    assert.ok((await stat(received)).blocks * 512 < MIB);
    const again = receiveFile(await host.volumes.download(source), received);
    await assert.rejects(again, /EEXIST/);
    await host.volumes.delete(source);
    await host.volumes.delete(target);
  });

  test('an aborted upload ends at once and the volume can be deleted', async () => {
    const volume = await host.volumes.create(pool, volumeXml('aborted', 64 * MIB));
    const upload = await host.volumes.upload(volume);
    upload.write(Buffer.alloc(MIB));
    await new Promise((resolve) => upload.once('close', resolve).destroy());
    await host.volumes.delete(volume);
    assert.equal((await host.volumes.list(pool)).length, 0);
  });

  test('a full disk in mid-upload fails the stream with its reason', async () => {
    const small = join(daemon.dir, 'small');
    await mkdir(small);
    const [program, ...args] = daemon.enter(['mount', '-t', 'tmpfs', '-o', 'size=4m', 'small', small]);
    await runChecked([program, ...args], { timeoutMs: 10_000 });
    const ref = await host.pools.define(poolXml('small', small));
    await host.pools.create(ref.uuid);
    const volume = await host.volumes.create(ref.uuid, volumeXml('big', 64 * MIB));
    const source = Readable.from(chunksOf(Buffer.alloc(16 * MIB, 7), [262_144]));
    await assert.rejects(pipeline(source, await host.volumes.upload(volume)), (error: LibvirtError) => {
      assert.ok(error.code === 'no_space' || error.code === 'libvirt_failed', error.code);
      assert.match(String(error.cause), /space/i);
      return true;
    });
    assert.deepEqual((await host.pools.list()).length, 2);
    await host.volumes.delete(volume);
  });

  test('an upload whose last bytes found no room fails, though libvirt may confirm it', async () => {
    const ref = await host.pools.byName('small');
    for (let turn = 0; turn < 20; turn += 1) {
      const volume = await host.volumes.create(ref.uuid, volumeXml('late', 64 * MIB));
      const source = Readable.from(chunksOf(Buffer.alloc(4 * MIB + 4096, 7), [262_144]));
      await assert.rejects(pipeline(source, await host.volumes.upload(volume)), { code: 'no_space' });
      await host.volumes.delete(volume);
    }
  });

  test('a stalled download does not slow other calls', async () => {
    const volume = await host.volumes.create(pool, volumeXml('stalled', 256 * MIB));
    const stalled = await host.volumes.download(volume);
    stalled.once('readable', () => undefined); // read nothing
    await sleep(500);
    const startedMs = performance.now();
    for (let turn = 0; turn < 50; turn += 1) await host.domains.list();
    assert.ok(performance.now() - startedMs < 2_000);
    await new Promise((resolve) => stalled.once('close', resolve).destroy());
    await host.volumes.delete(volume);
  });
});

async function digestOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk);
  return hash.digest('hex');
}

function* chunksOf(data: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < data.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 4096;
    yield data.subarray(at, at + size);
    at += size;
  }
}
