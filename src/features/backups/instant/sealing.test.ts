import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { KIB, MIB } from '#kernel/units.ts';
import { backingName } from '#platform/backing-chain.ts';
import { runChecked } from '#platform/process.ts';
import { layOver, makeOverlay } from '#platform/qemu-access.ts';
import { attachedDisks } from './attached.ts';
import { missingBytes } from './sealing.ts';

const folder = await mkdtemp(join(tmpdir(), 'hv-sealing-'));
after(() => rm(folder, { recursive: true }));
const never = new AbortController().signal;
const qemu = (...argv: readonly string[]) => runChecked(argv, { timeoutMs: 20_000 });

/** Data in the second and fifth MiB. */
const disk = {
  sizeBytes: 8 * MIB,
  extents: async (offsetBytes: number, lengthBytes: number) =>
    Array.from({ length: lengthBytes / MIB }, (_, n) => ({
      lengthBytes: MIB,
      isZero: ![1, 4].includes(offsetBytes / MIB + n),
    })),
};

test('a disk is whole when there is a place for each piece of data, written or zeroed, and not before', async () => {
  const path = join(folder, 'disk.qcow2');
  await qemu('qemu-img', 'create', '-q', '-f', 'qcow2', path, '8M');
  assert.equal(await missingBytes(path, disk, never), 2 * MIB);
  await qemu('qemu-io', '-f', 'qcow2', '-c', 'write 1M 1M', '-c', 'write 4M 960k', path);
  assert.equal(await missingBytes(path, disk, never), 64 * KIB);
  await qemu('qemu-io', '-f', 'qcow2', '-c', 'write -z 4M 1M', path);
  assert.equal(await missingBytes(path, disk, never), 0, 'what was zeroed since is there');
  await qemu('qemu-io', '-f', 'qcow2', '-c', 'discard 1M 1M', path);
  assert.equal(await missingBytes(path, disk, never), 0, 'what the guest gave back since is not missing');
  await qemu('qemu-img', 'resize', '-q', '--shrink', path, '4M');
  assert.equal(await missingBytes(path, disk, never), 0, 'what is behind the end is nobody’s');
});

test('an overlay names its export, and one that lost it is laid on it again with what it holds', async () => {
  const path = join(folder, 'overlay.qcow2');
  const from = { socketPath: join(folder, 'a "b" socket'), exportName: 'vda' };
  const xml = (source: string) =>
    `<domain><name>x</name><devices><disk type='file' device='disk'><source file='${source}'/><target dev='vda'/></disk></devices></domain>`;
  const over = { socketPath: from.socketPath, disks: [{ target: 'vda' }] };
  await makeOverlay(path, { ...from, sizeBytes: 8 * MIB }, never);
  assert.deepEqual(await attachedDisks(xml(path), over), ['vda']);
  assert.deepEqual(await attachedDisks(xml(path), { ...over, socketPath: join(folder, 'another') }), []);
  const other = { ...over, disks: [{ target: 'vdb' }] };
  assert.deepEqual(await attachedDisks(xml(path), other), [], 'one that the VM got since is nobody’s business');
  const above = join(folder, 'above.qcow2');
  await qemu('qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-F', 'qcow2', '-b', path, above, '8M');
  assert.deepEqual(await attachedDisks(xml(above), over), ['vda'], 'also below a snapshot');

  const named = await backingName(path);
  await qemu('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', '', path);
  assert.deepEqual(await attachedDisks(xml(path), over), []);
  await qemu('qemu-io', '-f', 'qcow2', '-c', 'write -P 7 1M 64k', path);
  await layOver(path, from, never);
  assert.equal(await backingName(path), named);
  await qemu('qemu-img', 'rebase', '-u', '-f', 'qcow2', '-b', '', path);
  const { stdout } = await qemu('qemu-io', '-f', 'qcow2', '-c', 'read -P 7 1M 64k', path);
  assert.doesNotMatch(stdout, /failed/i);
});
