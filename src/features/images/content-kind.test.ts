import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { imageErrors } from '#contract/images.ts';
import { registerErrors } from '#kernel/errors.ts';
import { runChecked } from '#platform/process.ts';
import { readContent } from './content-kind.ts';

registerErrors(imageErrors);

const signal = new AbortController().signal;

async function file(t: TestContext, content: Uint8Array): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hv-kind-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'image');
  await writeFile(path, content);
  return path;
}

/** A beginning as a Linux kernel for PCs has it: boot sector mark and setup header. */
function bzImage(): Buffer {
  const head = Buffer.alloc(4096);
  head.writeUInt16LE(0xaa55, 510);
  head.write('HdrS', 0x202);
  return head;
}

test('kernels and plain ramdisks are known by themselves, compressed ramdisks when they are said to be one', async (t) => {
  const kernel = await file(t, bzImage());
  assert.deepEqual(await readContent(kernel, null, signal), {
    kind: 'kernel',
    format: 'raw',
    virtualSizeBytes: 4096,
    sizeBytes: 4096,
    label: null,
  });
  assert.equal((await readContent(kernel, 'kernel', signal)).kind, 'kernel');
  assert.equal((await readContent(await file(t, Buffer.from('070701000000')), null, signal)).kind, 'initrd');
  const packed = await file(t, gzipSync('cpio'));
  assert.equal((await readContent(packed, 'initrd', signal)).kind, 'initrd');
  await assert.rejects(readContent(packed, null, signal), { code: 'image_refused' });
});

test('a disk is a disk, and an unknown beginning only from one who says so', async (t) => {
  const path = await file(t, Buffer.alloc(0));
  await runChecked(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '8M'], { timeoutMs: 10_000 });
  const disk = await readContent(path, null, signal);
  assert.deepEqual([disk.kind, disk.format, disk.virtualSizeBytes], ['disk', 'qcow2', 8 * 2 ** 20]);
  const blank = await file(t, Buffer.alloc(4096));
  await assert.rejects(readContent(blank, null, signal), { code: 'image_refused' });
  assert.equal((await readContent(blank, 'disk', signal)).format, 'raw');
});

test('what was said must fit what is there', async (t) => {
  const kernel = await file(t, bzImage());
  const text = await file(t, Buffer.from('#!/bin/sh\n'));
  await assert.rejects(readContent(kernel, 'initrd', signal), { code: 'image_kind_mismatch' });
  await assert.rejects(readContent(kernel, 'iso', signal), { code: 'image_kind_mismatch' });
  await assert.rejects(readContent(text, 'kernel', signal), { code: 'image_kind_mismatch' });
  await assert.rejects(readContent(text, null, signal), { code: 'image_refused' });
});
