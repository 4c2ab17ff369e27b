/** What is written is what others read: qemu-img checks each file and compares it with the same disk as plain bytes. */

import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import { mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { GIB, KIB, MIB } from '#kernel/units.ts';
import { randomDisk, randomNumbers } from '../nbd/random-disk.test-data.ts';
import { run, runChecked } from '../process.ts';
import { createDiskFile, type DiskFileFormat } from './disk-file.ts';

const CLUSTER = 64 * KIB;
const SEED = Number(process.env['HV_TEST_SEED'] ?? 1);

describe('a disk as a file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hv-disk-file-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const qemuImg = async (...argv: readonly string[]) =>
    (await runChecked(['qemu-img', ...argv], { timeoutMs: 120_000 })).stdout;
  const isSound = async (path: string) => {
    const found = JSON.parse(await qemuImg('check', '--output=json', '-f', 'qcow2', path));
    assert.equal(found['check-errors'], 0);
    assert.equal(found.corruptions ?? 0, 0);
    assert.equal(found.leaks ?? 0, 0, 'every cluster has a user');
  };
  const writeAt = async (
    path: string,
    format: DiskFileFormat,
    sizeBytes: number,
    parts: readonly { readonly at: number; readonly bytes: Buffer }[],
  ) => {
    const file = await createDiskFile(path, format, sizeBytes);
    try {
      await Promise.all(parts.map(({ at, bytes }) => file.write(at, bytes)));
      await file.finish();
    } finally {
      await file.close();
    }
  };

  test(`random disks come back as they were, written in any order, seed ${SEED}`, async () => {
    const random = randomNumbers(SEED);
    for (let round = 0; round < 6; round += 1) {
      const sizeBytes = 512 * (1 + random(24 * 2048));
      const disk = randomDisk(random(2 ** 31), sizeBytes, MIB, round % 2 === 0 ? CLUSTER : 512);
      const plain = join(folder, 'plain.raw');
      await writeFile(plain, disk.bytes);
      const parts: { at: number; bytes: Buffer }[] = [];
      for (let at = 0; at < sizeBytes; ) {
        const length = Math.min(sizeBytes - at, CLUSTER * (1 + random(20)));
        parts.push({ at, bytes: disk.bytes.subarray(at, at + length) });
        at += length;
      }
      parts.sort(() => random(3) - 1);
      for (const format of ['qcow2', 'raw'] as const) {
        const path = join(folder, `made.${format}`);
        await writeAt(path, format, sizeBytes, parts);
        if (format === 'qcow2') await isSound(path);
        assert.equal(JSON.parse(await qemuImg('info', '--output=json', '-f', format, path))['virtual-size'], sizeBytes);
        await qemuImg('compare', '-f', format, '-F', 'raw', path, plain);
      }
    }
  });

  test('a disk of 20 TiB with a little data at both ends stays small, and its reference counts fit', async () => {
    const path = join(folder, 'large.qcow2');
    const sizeBytes = 20 * 1024 * GIB;
    const bytes = Buffer.alloc(MIB, 7);
    await writeAt(path, 'qcow2', sizeBytes, [
      { at: 0, bytes },
      { at: sizeBytes - MIB, bytes },
      // Over the border of two tables.
      { at: 512 * MIB - CLUSTER, bytes: bytes.subarray(0, 2 * CLUSTER) },
    ]);
    await isSound(path);
    assert.ok((await stat(path)).size < 4 * MIB);
    const info = JSON.parse(await qemuImg('info', '--output=json', '-f', 'qcow2', path));
    assert.equal(info['virtual-size'], sizeBytes);
    const map: { start: number; length: number; data: boolean }[] = JSON.parse(
      await qemuImg('map', '--output=json', '-f', 'qcow2', path),
    );
    assert.deepEqual(
      map.filter(({ data }) => data).map(({ start, length }) => ({ start, length })),
      [
        { start: 0, length: MIB },
        { start: 512 * MIB - CLUSTER, length: 2 * CLUSTER },
        { start: sizeBytes - MIB, length: MIB },
      ],
    );
  });

  test('more data than one block of reference counts can tell of', {
    skip: process.env['HV_TEST_FULL'] !== '1' && 'writes 3 GiB: HV_TEST_FULL=1',
  }, async () => {
    const path = join(folder, 'much.qcow2');
    const sizeBytes = 3 * GIB;
    const file = await createDiskFile(path, 'qcow2', sizeBytes);
    const bytes = Buffer.alloc(16 * MIB, 1);
    for (let at = 0; at < sizeBytes; at += bytes.length) await file.write(at, bytes);
    await file.finish();
    await file.close();
    await isSound(path);
    await rm(path);
  });

  test('a disk without data, and the smallest one', async () => {
    for (const sizeBytes of [512, 10 * GIB])
      for (const format of ['qcow2', 'raw'] as const) {
        const path = join(folder, `empty.${format}`);
        await writeAt(path, format, sizeBytes, []);
        if (format === 'qcow2') await isSound(path);
        assert.equal(JSON.parse(await qemuImg('info', '--output=json', '-f', format, path))['virtual-size'], sizeBytes);
        assert.ok((await stat(path)).blocks * 512 < MIB);
      }
  });

  test('before it is finished it is no disk', async () => {
    const path = join(folder, 'half.qcow2');
    const file = await createDiskFile(path, 'qcow2', MIB);
    await file.write(0, Buffer.alloc(MIB, 1));
    const info = await run(['qemu-img', 'info', '-f', 'qcow2', path], { timeoutMs: 20_000 });
    assert.match(info.stderr, /not in qcow2 format/);
    await file.close();
  });

  test('what was written does not take the place of what others read', async (t) => {
    const path = join(folder, 'uncached.qcow2');
    const parts = [0, 1, 2, 3].map((n) => ({ at: n * 16 * MIB, bytes: Buffer.alloc(16 * MIB, n + 1) }));
    await writeAt(path, 'qcow2', 64 * MIB, parts);
    const direct = await open(path, constants.O_RDONLY | constants.O_DIRECT).catch(() => null);
    await direct?.close();
    if (direct === null) return t.skip('this file system has nothing but its cache');
    const { stdout } = await runChecked(['fincore', '--bytes', '--noheadings', '--output', 'RES', path], {
      timeoutMs: 20_000,
    });
    assert.ok(Number(stdout) < 8 * MIB, `${stdout} bytes of it are in the cache`);
  });

  test('parts of clusters and what lies behind the end are refused', async () => {
    const file = await createDiskFile(join(folder, 'strict.raw'), 'raw', MIB);
    try {
      await assert.rejects(file.write(512, Buffer.alloc(CLUSTER)), RangeError);
      await assert.rejects(file.write(0, Buffer.alloc(512)), RangeError);
      await assert.rejects(file.write(MIB - CLUSTER, Buffer.alloc(2 * CLUSTER)), RangeError);
      await assert.rejects(file.write(-CLUSTER, Buffer.alloc(CLUSTER)), RangeError);
    } finally {
      await file.close();
    }
  });
});
