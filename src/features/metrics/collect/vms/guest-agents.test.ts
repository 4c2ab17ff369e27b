import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '#kernel/logger.ts';
import { LibvirtError } from '#libvirt/index.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { guestAgentsReader, guestAnswer, guestFileSystems } from './guest-agents.ts';
import type { Values } from './stat-values.ts';

const fs = (n: number, mount: string, total: number | bigint, used: number, type = 'ext4') => ({
  [`fs.${n}.mountpoint`]: mount,
  [`fs.${n}.fstype`]: type,
  [`fs.${n}.total-bytes`]: total,
  [`fs.${n}.used-bytes`]: used,
});
const answerWith = (values: Readonly<Record<string, number | bigint | string>>): Values =>
  new Map(Object.entries(values));

test('file systems of a guest, without images that are full for ever', () => {
  const values = answerWith({
    'fs.count': 4,
    ...fs(0, '/', 1_000n, 400),
    ...fs(1, '/snap/core', 100, 100, 'squashfs'),
    ...fs(2, 'D:\\', 100, 100, 'CDFS'),
    ...fs(3, 'C:\\', 2_000, 500, 'NTFS'),
  });
  assert.deepEqual(guestFileSystems(values), [
    { mount: '/', sizeBytes: 1_000, usedBytes: 400 },
    { mount: 'C:\\', sizeBytes: 2_000, usedBytes: 500 },
  ]);
});

test('what a guest says is bounded in number, length and size, and cannot lie outside of its file system', () => {
  const many = Object.assign({}, ...Array.from({ length: 5_000 }, (_, n) => fs(n, `/${n}`, 10, 5)));
  assert.equal(guestFileSystems(answerWith({ 'fs.count': 5_000, ...many })).length, 32);
  const [hostile] = guestFileSystems(answerWith({ 'fs.count': 1, ...fs(0, `/a\n\u202Eb${'x'.repeat(500)}`, 10, 99) }));
  assert.equal(hostile?.mount.length, 64);
  assert.match(hostile?.mount ?? '', /^\/a\uFFFD\uFFFDbx+$/);
  assert.equal(hostile?.usedBytes, 10);
  assert.deepEqual(guestFileSystems(answerWith({ 'fs.count': 2 ** 31, ...fs(0, '/', 0, 0), ...fs(1, '', 5, 1) })), []);
  assert.throws(() => guestAnswer(answerWith({ 'os.pretty-name': 'x'.repeat(2 ** 20) })), /1048576 are taken/);
  assert.equal(guestAnswer(answerWith({ 'os.pretty-name': 'Debian\u0000' })).system, 'Debian\uFFFD');
});

test('up, down, cannot, and not known are four answers', async () => {
  const failure = (code: ConstructorParameters<typeof LibvirtError>[0]) => new LibvirtError(code, { procedure: 'x' });
  const says: Record<string, () => Values> = {
    up: () => answerWith({ 'fs.count': 1, ...fs(0, '/', 100, 25) }),
    silent: () => {
      throw failure('agent_unavailable');
    },
    frozen: () => {
      throw failure('libvirt_failed');
    },
    away: () => {
      throw failure('libvirt_unavailable');
    },
  };
  const limits: string[] = [];
  const reader = guestAgentsReader({
    log: silentLogger,
    vms: () => [
      ...Object.keys(says).map((id) => ({ id, agent: 'connected' as const, startedAt: '2026-01-01T00:00:00Z' })),
      { id: 'gone', agent: 'disconnected' as const, startedAt: null },
      { id: 'without', agent: 'absent' as const, startedAt: null },
    ],
    setResponseTimeout: async (uuid, seconds) => void limits.push(`${uuid} ${seconds}`),
    guestInfo: async (uuid) => says[uuid]?.() ?? assert.fail(`${uuid} was asked`),
  });
  const sink = createRecordingSink();
  const signal = new AbortController().signal;
  reader.put(sink, (await reader.read(signal)) ?? new Map());
  assert.deepEqual(Object.fromEntries([...sink.values].filter(([key]) => key.endsWith('vm_agent_up'))), {
    'up:vm_agent_up': 1,
    'silent:vm_agent_up': 0,
    'frozen:vm_agent_up': 1,
    'gone:vm_agent_up': 0,
  });
  assert.equal(sink.values.get('up:disk_usage//'), 0.25);
  await reader.read(signal);
  assert.deepEqual(limits.sort(), ['away 5', 'frozen 5', 'silent 5', 'up 5']);
});
