import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { MIB } from '#kernel/units.ts';
import { runChecked } from '#platform/process.ts';
import { type DiskStructure, inspectDisk, type ReadableDisk } from './index.ts';

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hv-structure-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const diskOf = (bytes: Buffer): ReadableDisk => ({
  sizeBytes: bytes.length,
  async read(offsetBytes, lengthBytes) {
    assert.ok(offsetBytes >= 0 && offsetBytes + lengthBytes <= bytes.length, 'a read outside of the disk');
    return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  },
});

async function image(name: string, sizeMib: number, ...commands: readonly (readonly string[])[]): Promise<Buffer> {
  const path = join(folder, name);
  await (await open(path, 'w')).close();
  await truncate(path, sizeMib * MIB);
  for (const [program = '', ...args] of commands)
    await runChecked([program, ...args.map((arg) => (arg === '@' ? path : arg))], { timeoutMs: 30_000 });
  return readFile(path);
}

async function table(label: 'dos' | 'gpt', parts: readonly string[], sizeMib = 64): Promise<Buffer> {
  const path = join(folder, 'table');
  await (await open(path, 'w')).close();
  await truncate(path, sizeMib * MIB);
  await runChecked(['sfdisk', '--quiet', path], {
    timeoutMs: 10_000,
    stdin: [`label: ${label}`, ...parts, ''].join('\n'),
  });
  return readFile(path);
}

const has = (program: string) =>
  [...(process.env['PATH'] ?? '').split(delimiter), '/sbin', '/usr/sbin'].some((path) =>
    existsSync(join(path, program)),
  );

const MAKERS: readonly (readonly [kind: string, program: string, sizeMib: number, ...args: string[]])[] = [
  ['ext4', 'mke2fs', 16, '-q', '-t', 'ext4', '-O', 'metadata_csum,64bit', '@'],
  ['ext3', 'mke2fs', 16, '-q', '-t', 'ext3', '@'],
  ['ext2', 'mke2fs', 16, '-q', '-t', 'ext2', '-b', '1024', '@'],
  ['FAT', 'mkfs.vfat', 16, '-F', '16', '@'],
  ['FAT', 'mkfs.vfat', 64, '-F', '32', '@'],
  ['swap', 'mkswap', 16, '@'],
  ['xfs', 'mkfs.xfs', 320, '-q', '@'],
  ['btrfs', 'mkfs.btrfs', 128, '-q', '@'],
  ['NTFS', 'mkntfs', 16, '-F', '-q', '-p', '0', '-s', '512', '-H', '0', '-S', '0', '@'],
];

for (const [kind, program, sizeMib, ...args] of MAKERS)
  test(`${kind} of ${program} ${args.join(' ')}`, {
    skip: !has(program) && `missing program: ${program}`,
  }, async () => {
    const whole = await image('fs', sizeMib, [program, ...args]);
    assert.deepEqual(await inspectDisk(diskOf(whole)), { state: 'known', text: kind });
    if (kind === 'swap') return;
    // Its end is missing: what a copy that stopped half way leaves.
    const cut = await inspectDisk(diskOf(whole.subarray(0, whole.length / 2)));
    assert.equal(cut.state, 'broken', cut.text);
    assert.match(cut.text, /its end is missing/);
  });

test('a checksum over the first block that does not fit is told', async () => {
  const bytes = await image('sum', 16, ['mke2fs', '-q', '-t', 'ext4', '-O', 'metadata_csum', '@']);
  bytes[1024 + 200] = (bytes[1024 + 200] ?? 0) ^ 1;
  assert.deepEqual(await inspectDisk(diskOf(bytes)), {
    state: 'broken',
    text: 'ext4 (its first block is not what its checksum says)',
  });
});

test('LVM is known by its label', async () => {
  const bytes = Buffer.alloc(16 * MIB);
  // Written as pvcreate 2.03 does: label in the second sector, its checksum, then the header of the physical volume.
  bytes.write('LABELONE', 512, 'latin1');
  bytes.writeBigUInt64LE(1n, 520);
  bytes.writeUInt32LE(32, 532);
  bytes.write('LVM2 001', 536, 'latin1');
  bytes.write('0123456789abcdefghijklmnopqrstuv', 544, 'latin1');
  bytes.writeBigUInt64LE(BigInt(16 * MIB), 576);
  bytes.writeUInt32LE(lvmSum(bytes.subarray(532, 1024)), 528);
  assert.deepEqual(await inspectDisk(diskOf(bytes)), { state: 'known', text: 'LVM' });
  bytes[600] = 1;
  assert.equal((await inspectDisk(diskOf(bytes))).state, 'broken');
});

/** Bit by bit, apart from the code under test. */
function lvmSum(bytes: Uint8Array): number {
  let value = 0xf597a6cf;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return value >>> 0;
}

test('partition tables name what lies in them', async () => {
  const ext = await image('ext', 16, ['mke2fs', '-q', '-t', 'ext4', '@']);
  const fat = await image('fat', 16, ['mkfs.vfat', '-F', '16', '@']);
  const put = (disk: Buffer) => {
    fat.copy(disk, MIB);
    ext.copy(disk, 17 * MIB);
    return disk;
  };
  const parts = ['start=2048, size=32768', 'start=34816, size=32768', 'start=67584, size=2048'];
  assert.deepEqual(await inspectDisk(diskOf(put(await table('dos', parts)))), {
    state: 'known',
    text: 'MBR: FAT, ext4, unknown',
  });
  const gpt = put(await table('gpt', parts));
  assert.deepEqual(await inspectDisk(diskOf(gpt)), { state: 'known', text: 'GPT: FAT, ext4, unknown' });

  const oneCopy = Buffer.from(gpt);
  oneCopy[520] = 0xff;
  const half: DiskStructure = await inspectDisk(diskOf(oneCopy));
  assert.equal(half.state, 'known');
  assert.match(half.text, /GPT: FAT, ext4, unknown; the first copy/);
  oneCopy.fill(0, oneCopy.length - 512);
  assert.match((await inspectDisk(diskOf(oneCopy))).text, /both copies of the partition table are damaged/);

  const short = await inspectDisk(diskOf(put(await table('dos', parts)).subarray(0, 20 * MIB)));
  assert.equal(short.state, 'broken');
  assert.match(short.text, /partition 2 ends after the end of the disk/);
});

test('logical partitions are followed, and a chain that bites its tail ends', async () => {
  const disk = await table('dos', [
    'start=2048, size=16384',
    'start=20480, size=100000, type=5',
    'start=22528, size=8192',
    'start=34816, size=8192',
  ]);
  (await image('e', 4, ['mke2fs', '-q', '-t', 'ext2', '@'])).copy(disk, 34_816 * 512);
  const found = await inspectDisk(diskOf(disk));
  assert.deepEqual(found, { state: 'known', text: 'MBR: unknown, unknown, ext2' });
  // The first link now leads to itself.
  disk.writeUInt32LE(0, 20_480 * 512 + 462 + 8);
  disk.writeUInt32LE(100, 20_480 * 512 + 462 + 12);
  disk[20_480 * 512 + 462 + 4] = 5;
  assert.equal((await inspectDisk(diskOf(disk))).state, 'broken');
});

test('a disk without anything known is unknown, and no fault', async () => {
  assert.deepEqual(await inspectDisk(diskOf(Buffer.alloc(MIB))), {
    state: 'unknown',
    text: 'nothing at its beginning',
  });
  assert.deepEqual(await inspectDisk(diskOf(Buffer.alloc(MIB, 0x42))), {
    state: 'unknown',
    text: 'nothing that is known',
  });
  for (const size of [0, 1, 511, 512, 4095])
    assert.equal((await inspectDisk(diskOf(Buffer.alloc(size)))).state, 'unknown');
});

test('whatever lies on a disk, it is told in few reads inside of the disk', async () => {
  const seeds = [
    await image('h1', 8, ['mke2fs', '-q', '-t', 'ext4', '@']),
    await table('gpt', ['start=2048, size=4096', 'start=8192'], 8),
    await table('dos', ['start=2048, size=4096', 'start=8192, type=5', 'start=9216, size=1024'], 8),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(70_000), fc.oneof(fc.constant(0xff), fc.constant(0), fc.nat(255)))),
      fc.array(
        fc.tuple(fc.constantFrom(446, 454, 458, 512, 584, 592, 596, 1024, 1028, 1048, 1120), fc.nat(0xffffffff)),
      ),
      fc.nat(8 * MIB),
      async (seed, flips, words, size) => {
        const bytes = Buffer.from(seed.subarray(0, size));
        for (const [at, value] of flips) if (at < bytes.length) bytes[at] = value;
        for (const [at, value] of words) if (at + 4 <= bytes.length) bytes.writeUInt32LE(value >>> 0, at);
        let readBytes = 0;
        const disk = diskOf(bytes);
        const found = await inspectDisk({
          sizeBytes: disk.sizeBytes,
          read: (offset, length) => {
            readBytes += length;
            return disk.read(offset, length);
          },
        });
        assert.ok(['known', 'unknown', 'broken'].includes(found.state));
        assert.ok(found.text.length < 4000);
        assert.ok(readBytes < 8 * MIB, `${readBytes} bytes were read`);
      },
    ),
    { numRuns: 300 },
  );
});
