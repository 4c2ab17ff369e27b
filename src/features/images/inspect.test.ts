import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { AppError } from '#kernel/errors.ts';
import { MIB, TIB } from '#kernel/units.ts';
import { convertImage, type ImageFormat, inspectImage } from './inspect.ts';
import { withImageFile } from './inspection/image-file.ts';

let folder = '';
let secret = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'hv-inspect-'));
  secret = join(folder, 'secret');
  // Looks like a disk, so that a leak would show as an accepted image and not as an error.
  writeFileSync(secret, diskBytes(3 * MIB));
});
after(() => rmSync(folder, { recursive: true }));

function diskBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16BE(0x55aa, 510);
  return bytes;
}

function make(name: string, ...args: string[]): string {
  const path = join(folder, name);
  execFileSync('qemu-img', ['create', '-q', ...args.map((arg) => (arg === '@' ? path : arg))], { stdio: 'pipe' });
  return path;
}

/** Writes bytes into an existing file. */
async function patch(path: string, ...changes: [offset: number, bytes: Buffer | string][]): Promise<string> {
  const file = await open(path, 'r+');
  for (const [offset, bytes] of changes)
    await file.write(Buffer.from(bytes as Buffer), 0, Buffer.byteLength(bytes), offset);
  await file.close();
  return path;
}

const number = (bits: 32 | 64, value: number | bigint) => {
  const bytes = Buffer.alloc(bits / 8);
  if (bits === 32) bytes.writeUInt32BE(Number(value));
  else bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

async function assertRefused(reason: string, path: string, claimedFormat?: ImageFormat): Promise<void> {
  const error = await inspectImage(path, claimedFormat ? { claimedFormat } : {}).then(
    (found) => assert.fail(`taken as ${found.format} instead of refused as ${reason}`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof AppError, String(error));
  assert.deepEqual([error.code, error.status, error.params['reason']], ['image_refused', 422, reason], error.message);
  assert.doesNotMatch(`${error.message} ${error.hint}`, /\/tmp|hv-inspect|shadow/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('.inspect-')),
    [],
  );
}

test('a qcow2 image of either version is taken with its virtual size', async () => {
  for (const [name, options, version, compression] of [
    ['v2', 'compat=0.10', 2, 'zlib'],
    ['v3', 'compat=1.1', 3, 'zlib'],
    ['zstd', 'compat=1.1,compression_type=zstd', 3, 'zstd'],
    ['l2', 'compat=1.1,extended_l2=on,cluster_size=128k', 3, 'zlib'],
  ] as const) {
    const found = await inspectImage(make(`${name}.qcow2`, '-f', 'qcow2', '-o', options, '@', '10G'), {
      claimedFormat: 'qcow2',
    });
    assert.deepEqual([found.format, found.virtualSizeBytes, found.needsConversion], ['qcow2', 10 * 2 ** 30, false]);
    assert.deepEqual(found.qcow2, { version, compression, leakedClusters: 0 });
  }
});

test('B1: a qcow2 with a backing file is refused, whatever the name says', async () => {
  await assertRefused(
    'backing_file',
    make('b1.qcow2', '-f', 'qcow2', '-u', '-F', 'raw', '-b', '/etc/shadow', '@', '1M'),
  );
  await assertRefused(
    'backing_file',
    make('b1-nbd.qcow2', '-f', 'qcow2', '-u', '-F', 'raw', '-b', 'nbd://127.0.0.1/x', '@', '1M'),
  );
  await assertRefused(
    'backing_file',
    make('b1-self.qcow2', '-f', 'qcow2', '-u', '-F', 'qcow2', '-b', 'b1-self.qcow2', '@', '1M'),
  );
  // An offset without a length, and a length without an offset, are no accident either.
  const plain = () => make('b1-odd.qcow2', '-f', 'qcow2', '@', '1M');
  await assertRefused('backing_file', await patch(plain(), [8, number(64, 512)]));
  await assertRefused('backing_file', await patch(plain(), [16, number(32, 5)]));
});

test('B2: a backing file given as json: is refused', async () => {
  const name = 'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/shadow"}}';
  await assertRefused('json_reference', make('b2.qcow2', '-f', 'qcow2', '-u', '-F', 'raw', '-b', name, '@', '1M'));
});

test('B3: a qcow2 with an external data file is refused, by the feature bit and by the header extension alone', async () => {
  const path = make(
    'b3.qcow2',
    '-f',
    'qcow2',
    '-o',
    `data_file=${join(folder, 'b3.data')},data_file_raw=on`,
    '@',
    '1M',
  );
  await assertRefused('external_data_file', path);
  const bytes = readFileSync(path);
  assert.equal(bytes[79], 4);
  await assertRefused('external_data_file', await patch(path, [79, Buffer.from([0])]));
});

test('B4: a VMDK that names other files is refused; single-file ones are only for conversion', async () => {
  await assertRefused('flat_extent', make('b4.vmdk', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', '@', '1M'));
  await assertRefused('flat_extent', make('b4s.vmdk', '-f', 'vmdk', '-o', 'subformat=twoGbMaxExtentSparse', '@', '1M'));
  const descriptor =
    '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 4 FLAT "/etc/shadow" 0\n';
  const bare = join(folder, 'bare.vmdk');
  writeFileSync(bare, descriptor);
  await assertRefused('flat_extent', bare);
  writeFileSync(bare, `\n  ${descriptor}`);
  await assertRefused('flat_extent', bare);
  const sparse = () => make('sparse.vmdk', '-f', 'vmdk', '@', '4M');
  assert.deepEqual((await inspectImage(sparse())).needsConversion, true);
  await assertRefused('flat_extent', await patch(sparse(), [12, Buffer.alloc(8)], [512, descriptor]));
  await assertRefused('flat_extent', await patch(sparse(), [512, descriptor]));
  await assertRefused('backing_file', await patch(sparse(), [512, 'parentFileNameHint="/etc/shadow"\n']));
  await assertRefused('backing_file', await patch(sparse(), [512, 'parentCID=12345678\n']));
});

test('B5: a raw disk that begins like a qcow2 is never taken as raw', async () => {
  const qcow2 = readFileSync(make('b5.qcow2', '-f', 'qcow2', '@', '1M'));
  const path = join(folder, 'b5.raw');
  writeFileSync(path, Buffer.concat([qcow2, diskBytes(MIB)]));
  await assertRefused('format_mismatch', path, 'raw');
  await assertRefused('format_mismatch', path, 'iso');
  assert.equal((await inspectImage(path)).format, 'qcow2');
});

test('B6: a disk inside that is larger than allowed is refused, however small the file', async () => {
  const huge = await patch(make('b6.qcow2', '-f', 'qcow2', '-o', 'cluster_size=2M', '@', '1M'), [
    24,
    number(64, 2 ** 50),
  ]);
  await assertRefused('too_large_virtual', huge);
  await assertRefused('too_large_virtual', await patch(huge, [24, number(64, 0xffff_ffff_ffff_ffffn)]));
  const vmdk = await patch(make('b6.vmdk', '-f', 'vmdk', '@', '1M'), [12, Buffer.from('ffffffffffffff7f', 'hex')]);
  await assertRefused('too_large_virtual', vmdk);
  const small = make('b6s.qcow2', '-f', 'qcow2', '@', '2G');
  await assert.rejects(
    inspectImage(small, { maxVirtualBytes: 2 ** 30 }),
    (error: AppError) => error.params['limitBytes'] === 2 ** 30,
  );
  const sparse = join(folder, 'b6.raw');
  writeFileSync(sparse, diskBytes(512));
  truncateSync(sparse, 2 * TIB);
  await assert.rejects(
    inspectImage(sparse, { maxVirtualBytes: TIB }),
    (error: AppError) => error.params['reason'] === 'too_large_virtual',
  );
});

test('qcow2 images that are damaged, encrypted, half-written or unknown are refused', async () => {
  const fresh = () => make('bad.qcow2', '-f', 'qcow2', '@', '1M');
  await assertRefused('corrupt', await patch(fresh(), [79, Buffer.from([2])]));
  await assertRefused('corrupt', await patch(fresh(), [79, Buffer.from([1])]));
  await assertRefused('unsupported_feature', await patch(fresh(), [72, Buffer.from([0x80])]));
  await assertRefused('encrypted', await patch(fresh(), [32, number(32, 2)]));
  await assertRefused('snapshots_inside', await patch(fresh(), [60, number(32, 1)]));
  await assertRefused('corrupt', await patch(fresh(), [20, number(32, 63)]));
  await assertRefused('corrupt', await patch(fresh(), [100, number(32, 0xffff_ffff)]));
  await assertRefused('corrupt', await patch(fresh(), [36, number(32, 0x0fff_ffff)]));
  await assertRefused('truncated', await patch(fresh(), [40, number(64, 2n ** 60n)]));
  await assertRefused('unsupported_format', await patch(fresh(), [4, number(32, 1)]));
  await assertRefused('empty', await patch(fresh(), [24, number(64, 0)]));
  // A damaged refcount table is only seen by the check, not by the header.
  await assertRefused('corrupt', await patch(fresh(), [65_536, Buffer.alloc(65_536, 0xa5)]));
  const encryption = [number(32, 0x0537be77), number(32, 16), Buffer.alloc(16)];
  await assertRefused('encrypted', await patch(fresh(), [112, Buffer.concat(encryption)]));
});

test('a raw disk is taken by its own beginning, or when it is said to be one', async () => {
  const path = join(folder, 'disk.raw');
  writeFileSync(path, diskBytes(MIB));
  assert.deepEqual([(await inspectImage(path)).format, (await inspectImage(path)).rawContents], ['raw', 'mbr']);
  writeFileSync(path, Buffer.alloc(MIB));
  await assertRefused('unsupported_format', path);
  assert.equal((await inspectImage(path, { claimedFormat: 'raw' })).virtualSizeBytes, MIB);
  writeFileSync(path, diskBytes(MIB + 100));
  await assertRefused('truncated', path);
});

test('what is no image at all is refused in words that help', async () => {
  const path = join(folder, 'nonsense');
  for (const [content, pattern] of [
    ['<!DOCTYPE html><html>', /web page/],
    [Buffer.from('1f8b0800', 'hex'), /gunzip/],
    [Buffer.from('fd377a585a00', 'hex'), /unxz/],
    ['PK\x03\x04', /zip/],
    [Buffer.concat([Buffer.alloc(257), Buffer.from('ustar')]), /OVA/],
  ] as const) {
    writeFileSync(path, Buffer.concat([Buffer.from(content as Buffer), Buffer.alloc(4096 - content.length)]));
    for (const claim of [{}, { claimedFormat: 'raw' }] as const) {
      await assert.rejects(
        inspectImage(path, claim),
        (error: AppError) =>
          pattern.test(`${error.message} ${error.hint}`) && error.params['reason'] === 'unsupported_format',
      );
    }
  }
  writeFileSync(path, '');
  await assertRefused('empty', path);
  for (const format of ['qed', 'parallels']) {
    await assertRefused('unsupported_format', make(`x.${format}`, '-f', format, '@', '1M'));
  }
  writeFileSync(path, Buffer.concat([Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'), Buffer.alloc(4096)]));
  await assertRefused('encrypted', path);
});

function makeIso(name: string, ...options: string[]): string {
  const tree = join(folder, `${name}.d`);
  mkdirSync(tree, { recursive: true });
  writeFileSync(join(tree, 'boot.img'), Buffer.alloc(2048 * 4, 1));
  const path = join(folder, name);
  execFileSync('xorriso', ['-as', 'mkisofs', '-quiet', '-V', 'HELLO_ISO', ...options, '-o', path, tree], {
    stdio: 'pipe',
  });
  return path;
}

test('an ISO is taken with its label and its boot entries', async () => {
  const plain = await inspectImage(makeIso('plain.iso'), { claimedFormat: 'iso' });
  assert.deepEqual([plain.format, plain.isoLabel, plain.bootable], ['iso', 'HELLO_ISO', { bios: false, uefi: false }]);
  const bios = ['-b', 'boot.img', '-no-emul-boot', '-boot-load-size', '4'];
  const uefi = ['-eltorito-platform', 'efi', '-e', 'boot.img', '-no-emul-boot'];
  assert.deepEqual((await inspectImage(makeIso('bios.iso', ...bios))).bootable, { bios: true, uefi: false });
  assert.deepEqual((await inspectImage(makeIso('uefi.iso', ...uefi))).bootable, { bios: false, uefi: true });
  assert.deepEqual((await inspectImage(makeIso('both.iso', ...bios, '-eltorito-alt-boot', ...uefi))).bootable, {
    bios: true,
    uefi: true,
  });
});

test('B9: an ISO label is a label only, and control characters in it are refused', async () => {
  const iso = readFileSync(makeIso('label.iso'));
  const path = join(folder, 'labelled.iso');
  const label = (text: Buffer | string) => {
    const bytes = Buffer.alloc(32, ' ');
    Buffer.from(text as Buffer).copy(bytes);
    iso.set(bytes, 16 * 2048 + 40);
    writeFileSync(path, iso);
  };
  const before = readdirSync(folder);
  for (const text of [
    '../../etc/cron.d/x',
    'a/b',
    'C:\\x',
    '%2e%2e%2f',
    '.hidden',
    '<script>alert(1)</script>',
    'Größe',
    'x'.repeat(32),
  ]) {
    label(text);
    assert.equal((await inspectImage(path)).isoLabel, text);
  }
  label('evil\u202etxt');
  assert.equal((await inspectImage(path)).isoLabel, 'eviltxt');
  label(Buffer.from([0x47, 0x72, 0xf6, 0xdf, 0x65]));
  assert.equal((await inspectImage(path)).isoLabel, 'Größe');
  label('');
  assert.equal((await inspectImage(path)).isoLabel, null);
  for (const text of ['a\nb', 'a\0b', '\x1b[2Jx', 'a\x7f', '\r\n']) {
    label(text);
    await assertRefused('bad_label', path);
  }
  assert.deepEqual(
    readdirSync(folder).filter((name) => name !== 'labelled.iso'),
    before.filter((name) => name !== 'labelled.iso'),
  );
});

test('an ISO whose end is missing, or that carries a second meaning, is refused', async () => {
  const whole = readFileSync(makeIso('whole.iso', '-pad'));
  const path = join(folder, 'cut.iso');
  const declared = Buffer.from(whole);
  declared.writeUInt32LE(10_000, 16 * 2048 + 80);
  writeFileSync(path, declared);
  await assertRefused('truncated', path);
  writeFileSync(
    path,
    Buffer.concat([
      readFileSync(make('poly.qcow2', '-f', 'qcow2', '@', '1M')).subarray(0, 32_768),
      whole.subarray(32_768),
    ]),
  );
  await assertRefused('format_mismatch', path, 'iso');
  writeFileSync(path, whole);
  await assertRefused('format_mismatch', path, 'raw');
  await assertRefused('format_mismatch', path, 'qcow2');
});

test('disks of other hypervisors are converted to a stand-alone qcow2', async () => {
  const raw = join(folder, 'source.raw');
  const content = diskBytes(8 * MIB);
  content.write("the guest's bytes", 4 * MIB);
  writeFileSync(raw, content);
  for (const [format, qemuName, options] of [
    ['vmdk', 'vmdk', []],
    ['vmdk', 'vmdk', ['-o', 'subformat=streamOptimized']],
    ['vhd', 'vpc', ['-o', 'force_size=on']],
    ['vhd', 'vpc', ['-o', 'force_size=on,subformat=fixed']],
    ['vhdx', 'vhdx', []],
    ['vdi', 'vdi', []],
  ] as const) {
    const path = join(folder, `source.${format}`);
    const out = join(folder, `${format}-converted.qcow2`);
    execFileSync('qemu-img', ['convert', '-f', 'raw', '-O', qemuName, ...options, raw, path]);
    const found = await inspectImage(path, { claimedFormat: format });
    assert.deepEqual(
      [found.format, found.needsConversion, found.virtualSizeBytes],
      [format, true, 8 * MIB],
      `${format} ${options}`,
    );
    const converted = await convertImage(path, out);
    assert.deepEqual([converted.format, converted.virtualSizeBytes], ['qcow2', 8 * MIB]);
    execFileSync('qemu-img', ['compare', '-q', raw, out]);
    rmSync(out);
  }
});

test('a conversion that fails leaves nothing behind and touches no existing file', async () => {
  const out = join(folder, 'never.qcow2');
  const hostile = make('never.vmdk', '-f', 'vmdk', '-o', 'subformat=monolithicFlat', '@', '1M');
  await assert.rejects(convertImage(hostile, out), (error: AppError) => error.code === 'image_refused');
  assert.ok(!readdirSync(folder).includes('never.qcow2'));
  writeFileSync(out, 'precious');
  await assert.rejects(convertImage(make('fine.vmdk', '-f', 'vmdk', '@', '1M'), out), { code: 'EEXIST' });
  assert.equal(readFileSync(out, 'utf8'), 'precious');
});

test('links, folders, pipes and devices are not images', async () => {
  const link = join(folder, 'link.qcow2');
  symlinkSync(secret, link);
  await assertRefused('not_a_regular_file', link);
  await assertRefused('not_a_regular_file', folder);
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  await assertRefused('not_a_regular_file', pipe);
  await assertRefused('not_a_regular_file', '/dev/zero');
});

/** A thread that keeps swapping `path` between a good image and a link to the secret. */
function startSwapper(path: string, good: string): Worker {
  const source = `
    const { renameSync, linkSync, symlinkSync, rmSync } = require('node:fs');
    const { path, good, secret } = require('node:worker_threads').workerData;
    const spare = path + '.spare';
    for (;;) {
      rmSync(spare, { force: true }); symlinkSync(secret, spare); renameSync(spare, path);
      rmSync(spare, { force: true }); linkSync(good, spare); renameSync(spare, path);
      rmSync(spare, { force: true }); linkSync(secret, spare); renameSync(spare, path);
      rmSync(spare, { force: true }); linkSync(good, spare); renameSync(spare, path);
    }`;
  return new Worker(source, { eval: true, workerData: { path, good, secret } });
}

test('B12: against a swapper, whatever is handed on is the file that was opened, in 10,000 rounds', async () => {
  const open = join(folder, 'open');
  const scratchDir = join(folder, 'scratch');
  mkdirSync(open);
  mkdirSync(scratchDir, { mode: 0o700 });
  const good = make('good.qcow2', '-f', 'qcow2', '@', '7M');
  const path = join(open, 'image.qcow2');
  writeFileSync(path, '');
  const swapper = startSwapper(path, good);
  try {
    let opened = 0;
    for (let round = 0; round < 10_000; round += 1) {
      try {
        await withImageFile(path, scratchDir, async (file) => {
          const head = await file.read(0, 512);
          const pinned = readFileSync(await file.pin());
          assert.ok(pinned.subarray(0, 512).equals(head), 'the pinned file is another one');
          assert.equal(pinned.length, file.identity.sizeBytes);
          opened += 1;
        });
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'image_refused', String(error));
      }
    }
    assert.ok(opened > 0, 'no round got as far as the pin');
    for (let round = 0; round < 20; round += 1) {
      const found = await inspectImage(path, { claimedFormat: 'qcow2', scratchDir }).catch((error: unknown) => {
        assert.ok(error instanceof AppError && error.code === 'image_refused', String(error));
        return null;
      });
      if (found) assert.equal(found.virtualSizeBytes, 7 * MIB);
    }
    assert.deepEqual(readdirSync(scratchDir), []);
  } finally {
    await swapper.terminate();
  }
});

test('a file that is written to while it is looked at is refused', async () => {
  const path = make('moving.qcow2', '-f', 'qcow2', '@', '1M');
  const work = withImageFile(path, folder, async () => {
    writeFileSync(path, 'something else');
  });
  await assert.rejects(work, (error: AppError) => error.params['reason'] === 'changed');
  const other = make('other.qcow2', '-f', 'qcow2', '@', '1M');
  await assert.rejects(
    withImageFile(path, folder, async () => renameSync(other, path)),
    (error: AppError) => error.params['reason'] === 'changed',
  );
});
