import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { GIB, MIB } from '#kernel/units.ts';
import { createSpaceLedger } from '#platform/disk-space.ts';
import { runChecked } from '#platform/process.ts';
import { makeDisk, measureCopy, moveFile, quarantineFile } from './disk-files.ts';
import { hostSpace } from './host-space.ts';
import { vmFiles } from './layout.ts';

const folder = await mkdtemp(join(tmpdir(), 'hv-disks-'));
after(() => rm(folder, { recursive: true }));
const never = new AbortController().signal;
const silent = () => undefined;
const virtualSize = async (path: string, format: string): Promise<number> =>
  JSON.parse(
    (await runChecked(['qemu-img', 'info', '--output=json', '-f', format, path], { timeoutMs: 10_000 })).stdout,
  )['virtual-size'];

test('an empty disk is made once, private to root and QEMU, and left alone the second time', async () => {
  const path = join(folder, 'empty.qcow2');
  await makeDisk({ path, format: 'qcow2', sizeBytes: 10 * MIB }, never, silent);
  assert.equal(await virtualSize(path, 'qcow2'), 10 * MIB);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const first = await stat(path);
  await makeDisk({ path, format: 'qcow2', sizeBytes: 99 * MIB }, never, silent);
  assert.equal((await stat(path)).ino, first.ino);
});

test('a copy is whole, grown to its size, and begun anew after a crash', async () => {
  const source = join(folder, 'source.raw');
  await writeFile(source, Buffer.alloc(2 * MIB, 5));
  const path = join(folder, 'copy.qcow2');
  await writeFile(`${path}.part`, 'half of an earlier life');
  assert.ok((await measureCopy({ path: source, format: 'raw' }, 'qcow2')) >= 2 * MIB);
  await makeDisk({ path, format: 'qcow2', sizeBytes: 8 * MIB, source: { path: source, format: 'raw' } }, never, silent);
  assert.equal(await virtualSize(path, 'qcow2'), 8 * MIB);
  const back = join(folder, 'back.raw');
  await runChecked(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', path, back], { timeoutMs: 10_000 });
  assert.equal(
    (await readFile(back)).subarray(0, 2 * MIB).every((byte) => byte === 5),
    true,
  );
  assert.equal(existsSync(`${path}.part`), false);
});

test('a raw file whose first bytes are a qcow2 header is copied as the raw file it is said to be (B5)', async () => {
  const secret = join(folder, 'secret');
  await writeFile(secret, 'root:x:0:0');
  const crafted = join(folder, 'crafted.raw');
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', secret, '-F', 'raw', crafted, '1M'], {
    timeoutMs: 10_000,
  });
  const path = join(folder, 'crafted-copy.raw');
  const header = await readFile(crafted);
  await makeDisk(
    { path, format: 'raw', sizeBytes: Math.ceil(header.length / 512) * 512, source: { path: crafted, format: 'raw' } },
    never,
    silent,
  );
  const copied = await readFile(path);
  assert.deepEqual(copied.subarray(0, header.length), header);
  assert.equal(copied.includes('root:x:0:0'), false);
});

test('cancelled or failed, it leaves nothing behind', async () => {
  const before = await readdir(folder);
  const path = join(folder, 'cancelled.qcow2');
  await assert.rejects(
    makeDisk({ path, format: 'qcow2', sizeBytes: MIB }, AbortSignal.abort(new Error('cancelled')), silent),
    /cancelled/,
  );
  await assert.rejects(
    makeDisk(
      { path, format: 'qcow2', sizeBytes: MIB, source: { path: join(folder, 'nosuch'), format: 'raw' } },
      never,
      silent,
    ),
    { code: 'program_failed' },
  );
  assert.deepEqual(await readdir(folder), before);
});

test('a move that was done already is done, one without source and target fails', async () => {
  const [from, to] = [join(folder, 'from'), join(folder, 'to')];
  await writeFile(from, 'x');
  await moveFile(from, to);
  await moveFile(from, to);
  assert.equal(await readFile(to, 'utf8'), 'x');
  await assert.rejects(moveFile(join(folder, 'no'), join(folder, 'where')), { code: 'ENOENT' });
  await quarantineFile(to, join(folder, 'quarantine'));
  await quarantineFile(to, join(folder, 'quarantine'));
  assert.deepEqual(await readdir(join(folder, 'quarantine')), ['to']);
});

test('free bytes of the disks are told without those that are promised', async () => {
  const ledger = createSpaceLedger();
  ledger.expect(await ledger.look(folder), 'upload', 2 ** 60);
  const promised = await hostSpace(folder, ledger);
  assert.equal(promised.freeDiskBytes, 0);
  const real = await hostSpace(folder, createSpaceLedger());
  assert.ok(real.freeDiskBytes > 0 && real.diskFloorBytes >= 2 * GIB);
  assert.ok(real.totalMemoryBytes > real.freeMemoryBytes && real.cpus > 0);
});

test('only names that operations of ours make count as our own disks', () => {
  const files = vmFiles({
    root: '/s',
    ca: '/s/ca',
    images: '/s/images',
    disks: '/s/disks',
    scratch: '/s/scratch',
    trash: '/s/trash',
    quarantine: '/s/q',
  });
  const id = `op-${'0'.repeat(26)}`;
  assert.equal(files.isOwnDisk(files.disk(id, 0, 'qcow2')), true);
  assert.equal(files.isOwnDisk(files.seed(id)), true);
  for (const path of [
    '/etc/shadow',
    '/s/disks/other.qcow2',
    `/s/disks/x/${id}-0.qcow2`,
    `/s/disks/../disks/${id}-0.qcow2`,
    `/s/disks/${id}-0.qcow2.part`,
    `/s/images/${id}-0.qcow2`,
    '/s/disks',
  ]) {
    assert.equal(files.isOwnDisk(path), false, path);
  }
  assert.equal(files.isOwnNvram('/s/nvram/x.fd'), true);
  assert.equal(files.isOwnNvram('/var/lib/libvirt/qemu/nvram/x.fd'), false);
});
