import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '#kernel/errors.ts';
import { detectFormat } from './detect.ts';
import { readVdi, readVhd, readVmdk } from './foreign-disks.ts';
import type { ImageFile } from './image-file.ts';
import { readIso9660 } from './iso9660.ts';
import { readQcow2Header } from './qcow2.ts';

const READ_BUDGET = { calls: 64, bytes: 2 ** 20 };

/** An image in memory that counts what is read of it. `sizeBytes` may claim more than there is, as a sparse file does. */
function memoryImage(
  bytes: Buffer,
  sizeBytes = bytes.length,
): ImageFile & { readonly spent: { calls: number; bytes: number } } {
  const spent = { calls: 0, bytes: 0 };
  return {
    spent,
    identity: { device: 0, inode: 0, sizeBytes, modifiedMs: 0 },
    async read(offset, length) {
      spent.calls += 1;
      spent.bytes += length;
      assert.ok(Number.isInteger(length) && length >= 0 && length <= 2 ** 20, `asked for ${length} bytes`);
      return bytes.subarray(Math.min(offset, bytes.length), Math.min(offset + length, bytes.length));
    },
    pin: () => assert.fail('header readers need no path'),
  };
}

async function readAll(file: ImageFile): Promise<unknown> {
  const { format } = await detectFormat(file, true);
  if (format === 'qcow2') return await readQcow2Header(file);
  if (format === 'iso') return await readIso9660(file);
  if (format === 'vmdk') return await readVmdk(file);
  if (format === 'vhd') return await readVhd(file);
  if (format === 'vdi') return await readVdi(file);
  return null;
}

/** Any outcome is fine but a crash, a hang, or reading without bounds. */
async function assertBounded(bytes: Buffer, sizeBytes?: number): Promise<void> {
  const file = memoryImage(bytes, sizeBytes);
  await readAll(file).catch((error: unknown) => {
    assert.ok(error instanceof AppError && error.code === 'image_refused', String(error));
  });
  assert.ok(file.spent.calls <= READ_BUDGET.calls && file.spent.bytes <= READ_BUDGET.bytes, JSON.stringify(file.spent));
}

function qcow2(): Buffer {
  const bytes = Buffer.alloc(4 * 65_536);
  bytes.write('QFI\xfb', 'latin1');
  bytes.writeUInt32BE(3, 4);
  bytes.writeUInt32BE(16, 20);
  bytes.writeBigUInt64BE(1n << 20n, 24);
  bytes.writeUInt32BE(1, 36);
  bytes.writeBigUInt64BE(196_608n, 40);
  bytes.writeBigUInt64BE(65_536n, 48);
  bytes.writeUInt32BE(1, 56);
  bytes.writeUInt32BE(4, 96);
  bytes.writeUInt32BE(104, 100);
  return bytes;
}

function iso(): Buffer {
  const bytes = Buffer.alloc(24 * 2048);
  for (const [sector, type] of [
    [16, 1],
    [17, 0],
    [18, 255],
  ] as const) {
    bytes[sector * 2048] = type;
    bytes.write('CD001\x01', sector * 2048 + 1, 'latin1');
  }
  bytes.write('LABEL'.padEnd(32), 16 * 2048 + 40);
  bytes.writeUInt32LE(24, 16 * 2048 + 80);
  bytes.writeUInt16LE(2048, 16 * 2048 + 128);
  bytes.write('EL TORITO SPECIFICATION', 17 * 2048 + 7);
  bytes.writeUInt32LE(20, 17 * 2048 + 0x47);
  bytes.set([1, 0], 20 * 2048);
  bytes.set([0x55, 0xaa, 0x88], 20 * 2048 + 30);
  return bytes;
}

function vmdk(): Buffer {
  const bytes = Buffer.alloc(65_536);
  bytes.write('KDMV');
  bytes.writeBigUInt64LE(2048n, 12);
  bytes.writeBigUInt64LE(1n, 28);
  bytes.writeBigUInt64LE(20n, 36);
  bytes.write('# Disk DescriptorFile\nparentCID=ffffffff\nRW 2048 SPARSE "x.vmdk"\n', 512);
  return bytes;
}

function vhd(): Buffer {
  const bytes = Buffer.alloc(2048);
  bytes.write('conectix', 1536);
  bytes.writeBigUInt64BE(1536n, 1536 + 48);
  bytes.writeUInt32BE(2, 1536 + 60);
  return bytes;
}

function vdi(): Buffer {
  const bytes = Buffer.alloc(1024);
  bytes.set([0x7f, 0x10, 0xda, 0xbe], 0x40);
  bytes.writeUInt32LE(1, 0x4c);
  bytes.writeBigUInt64LE(1n << 20n, 0x170);
  return bytes;
}

const samples = { qcow2, iso, vmdk, vhd, vdi };

test('the samples are taken as they are, so that their damaged forms test the readers', async () => {
  for (const [format, sample] of Object.entries(samples)) {
    const file = memoryImage(sample());
    assert.equal((await detectFormat(file, true)).format, format);
    await readAll(file);
  }
  assert.deepEqual(await readIso9660(memoryImage(iso())), { label: 'LABEL', bootable: { bios: true, uefi: false } });
});

test('every truncation of every header ends in a reading or a refusal', async () => {
  for (const sample of Object.values(samples)) {
    const whole = sample();
    for (let length = 0; length < Math.min(whole.length, 1200); length += 1)
      await assertBounded(whole.subarray(0, length));
    for (let length = 1200; length < whole.length; length += 509) await assertBounded(whole.subarray(0, length));
  }
});

test('random damage to headers never crashes a reader, and it never reads without bounds', async () => {
  const damage = fc.array(
    fc.tuple(fc.nat(1100), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff, 0x55), fc.integer({ min: 1, max: 8 })),
    { maxLength: 12 },
  );
  const base = fc.constantFrom(...Object.values(samples));
  const offset = fc.constantFrom(0, 512, 16 * 2048, 17 * 2048, 20 * 2048);
  await fc.assert(
    fc.asyncProperty(
      base,
      offset,
      damage,
      fc.constantFrom(1, 2 ** 20, 2 ** 45),
      async (sample, at, changes, factor) => {
        const bytes = sample();
        for (const [index, value, count] of changes)
          bytes.fill(value, Math.min(at + index, bytes.length), Math.min(at + index + count, bytes.length));
        await assertBounded(bytes, Math.min(bytes.length * factor, Number.MAX_SAFE_INTEGER));
      },
    ),
    { numRuns: 3000 },
  );
});

test('random bytes never crash a reader', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 4096 }), async (bytes) => assertBounded(Buffer.from(bytes))),
    { numRuns: 1000 },
  );
});

test('a qcow2 with a thousand header extensions is refused', async () => {
  const bytes = qcow2();
  for (let index = 0; index < 1000; index += 1) bytes.writeUInt32BE(0x12345678, 104 + index * 8);
  await assert.rejects(readQcow2Header(memoryImage(bytes)), (error: AppError) => error.params['reason'] === 'corrupt');
});
