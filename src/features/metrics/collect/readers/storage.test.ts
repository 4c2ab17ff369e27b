import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFileSystemSpace } from '../file-system-space.ts';
import type { Programs } from '../programs.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { cephCluster, cephReader } from './ceph.ts';
import { fileSystemsReader, mountsOf } from './file-systems.ts';
import { lvmThinReader, thinPools } from './lvm-thin.ts';
import { recordedFiles } from './machine.test-data.ts';
import * as answers from './programs.test-data.ts';
import { storagePoolsReader } from './storage-pools.ts';
import { zfsPools, zfsReader } from './zfs.ts';

const HOST = { type: 'host', id: 'local' } as const;
const never = new AbortController().signal;
const says = (stdout: string, code = 0): Programs => ({ ask: async () => ({ code, stdout, stderr: '' }) });
const notInstalled: Programs = { ask: async () => null };

test('ZFS: pools with their state; what is no pool is left out, what is new is unknown', () => {
  assert.deepEqual(
    zfsPools(answers.ZPOOLS).map(({ name, state, usedBytes }) => [name, state, usedBytes]),
    [
      ['rpool', 'active', 103_381_655_552],
      ['tank', 'degraded', 6_000_000_000_000],
    ],
  );
  assert.deepEqual(
    zfsPools(answers.ZPOOLS_BROKEN).map(({ name, state, sizeBytes }) => [name, state, sizeBytes]),
    [
      ['old', 'faulted', null],
      ['strange', 'unknown', 1],
    ],
  );
});

test('LVM: a thin pool tells both its spaces, and what it promised', () => {
  assert.deepEqual(thinPools(answers.LVS), [
    { name: 'vg0/thin', sizeBytes: 1e11, dataRatio: 0.625, tablesRatio: 0.812, promisedBytes: 1.5e11 },
  ]);
  assert.deepEqual(thinPools(answers.LVS_NONE), []);
  assert.deepEqual(thinPools(answers.LVS_INACTIVE)[0]?.dataRatio, null);
  assert.throws(() => thinPools('  WARNING: something\n'));
});

test('Ceph: health and space of the cluster', () => {
  assert.deepEqual(cephCluster(answers.CEPH_GOOD), {
    state: 'active',
    sizeBytes: 1_000_000,
    usedBytes: 400_000,
    freeBytes: 600_000,
  });
  assert.equal(cephCluster(answers.CEPH_WARN).state, 'degraded');
  assert.equal(cephCluster(answers.CEPH_ERROR).state, 'faulted');
  assert.throws(() => cephCluster('{"health":{"status":"HEALTH_OK"}}'));
});

test('Ceph is asked where this machine is a client of a cluster, and nowhere else', async () => {
  const answer = says(answers.CEPH_GOOD);
  assert.equal((await cephReader(HOST, answer, import.meta.filename).read(never))?.state, 'active');
  assert.equal(await cephReader(HOST, answer, '/nowhere/ceph.conf').read(never), null);
});

test('where a program is not installed, or fails, nothing is told', async () => {
  const cephClient = (...[host, programs]: Parameters<typeof zfsReader>) =>
    cephReader(host, programs, import.meta.filename);
  for (const reader of [zfsReader, lvmThinReader, cephClient]) {
    assert.equal(await reader(HOST, notInstalled).read(never), null);
    assert.equal(await reader(HOST, says('error', 1)).read(never), null);
  }
});

test('a ZFS pool that cannot be opened has a state and no space', async () => {
  const reader = zfsReader(HOST, says(answers.ZPOOLS_BROKEN));
  const sink = createRecordingSink();
  reader.put(sink, (await reader.read(never)) ?? []);
  assert.equal(sink.values.get('pool_state/zfs:old'), 3);
  assert.equal(sink.values.has('disk_used/zfs:old'), false);
});

const MOUNTINFO = `22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /run rw - tmpfs tmpfs rw
30 22 254:1 /var/lib/images /mnt/bound rw - ext4 /dev/vda1 rw
31 22 254:2 / /srv/my\\040disks rw - xfs /dev/vdb rw
32 22 0:40 / /srv/nfs rw - nfs4 server:/export rw
33 22 0:50 /@home /home rw - btrfs /dev/vdc rw
34 22 0:51 /@var /var rw - btrfs /dev/vdc rw
35 22 7:0 / /snap/core ro - squashfs /dev/loop0 ro
36 22 0:60 / /tank rw - zfs tank rw
broken line
`;

test('each file system that can run full is there once', () => {
  assert.deepEqual(
    mountsOf(MOUNTINFO).map(({ path, isLocal }) => [path, isLocal]),
    [
      ['/', true],
      ['/srv/my disks', true],
      ['/srv/nfs', false],
      ['/home', true],
      ['/tank', true],
    ],
  );
});

const STATFS = { bsize: 4096, blocks: 1000, bfree: 400, bavail: 350, files: 100, ffree: 25 };

test('a mount that does not answer is asked once and holds up no other', async () => {
  const asked: string[] = [];
  const space = createFileSystemSpace({
    programs: { ask: () => new Promise(() => undefined) },
    statfs: async (path) => {
      asked.push(path);
      return STATFS;
    },
    deadlineMs: 20,
  });
  const reader = fileSystemsReader(HOST, recordedFiles({ '/proc/self/mountinfo': MOUNTINFO }), space);
  for (let turn = 0; turn < 2; turn += 1) {
    const sink = createRecordingSink();
    reader.put(sink, (await reader.read(never)) ?? []);
    assert.equal(sink.values.get('disk_usage//'), 600 / 950);
    assert.equal(sink.values.get('disk_free//srv/my disks'), 350 * 4096);
    assert.equal(sink.values.get('inode_usage//tank'), 0.75);
    assert.equal(sink.values.has('disk_usage//srv/nfs'), false);
  }
  assert.equal(asked.includes('/srv/nfs'), false);
});

test('local disks that hang keep two threads at most, and are not asked again before they answer', async () => {
  const hanging: ((value: typeof STATFS) => void)[] = [];
  const space = createFileSystemSpace({
    programs: notInstalled,
    statfs: () => new Promise((resolve) => hanging.push(resolve)),
    deadlineMs: 10,
  });
  for (const path of ['/a', '/a', '/b', '/c', '/d']) assert.equal(await space.look(path, true), null);
  assert.equal(hanging.length, 2);
  for (const answer of hanging) answer(STATFS);
  await new Promise((resolve) => setImmediate(resolve));
  const again = space.look('/a', true);
  hanging[2]?.(STATFS);
  assert.equal((await again)?.sizeBytes, 4_096_000);
});

test('two local disks that hang blind no other: a program looks at it', async () => {
  const space = createFileSystemSpace({
    programs: says('4096 1000 400 350 100 25\n'),
    statfs: () => new Promise(() => undefined),
    deadlineMs: 10,
  });
  for (const path of ['/a', '/b']) assert.equal(await space.look(path, true), null);
  assert.equal((await space.look('/c', true))?.sizeBytes, 4_096_000);
});

test('a network file system is asked by a program of its own', async () => {
  const space = createFileSystemSpace({ programs: says('4096 1000 400 350 100 25\n') });
  assert.deepEqual(await space.look('/srv/nfs', false), {
    sizeBytes: 4_096_000,
    usedBytes: 2_457_600,
    freeBytes: 1_433_600,
    files: 100,
    freeFiles: 25,
  });
  assert.equal(await createFileSystemSpace({ programs: says('stale file handle', 1) }).look('/x', false), null);
});

test('storage pools: state always, space where it is known, what was promised against the size', async () => {
  const pool = {
    id: '1',
    name: 'images',
    state: 'active' as const,
    kind: 'logical',
    path: '/dev/vg0',
    capacityBytes: 1_000,
    allocatedBytes: 400,
    availableBytes: 600,
    autostart: true,
    volumes: [{ name: 'a', path: '/dev/vg0/a', sizeBytes: 1_500, allocatedBytes: 400, format: null }],
  };
  const off = {
    ...pool,
    name: 'off',
    state: 'inactive' as const,
    capacityBytes: null,
    allocatedBytes: null,
    availableBytes: null,
    volumes: [],
  };
  const folder = { ...pool, name: 'folder', kind: 'dir', path: '/srv' };
  const space = createFileSystemSpace({ programs: notInstalled, statfs: async () => STATFS });
  const reader = storagePoolsReader(HOST, { pools: () => [pool, off, folder], space });
  const sink = createRecordingSink();
  reader.put(sink, (await reader.read(never)) ?? []);
  assert.deepEqual(
    ['pool_state/images', 'disk_usage/images', 'overcommit/images'].map((key) => sink.values.get(key)),
    [0, 0.4, 1.5],
  );
  assert.equal(sink.values.get('pool_state/off'), 1);
  assert.equal(sink.values.has('disk_usage/off'), false);
  assert.equal(sink.values.get('disk_free/folder'), 350 * 4096);
  assert.equal(await storagePoolsReader(HOST, { pools: () => null, space }).read(never), null);
});
