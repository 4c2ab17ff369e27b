import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import { hostSchema } from '#contract/system.ts';
import { TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createSampler } from './sampler.ts';
import { createHostService, type HostParts } from './service.ts';

const proc: Record<string, string> = {
  stat: 'cpu  100 0 100 800 0 0 0 0 0 0\n',
  meminfo: 'MemTotal:  1000 kB\nMemAvailable:  250 kB\n',
  loadavg: '0.50 0.40 0.30 1/100 4711\n',
  'self/mountinfo': '1 0 8:1 / / rw\n',
};

test('nothing is told before the first measurement, and the first has no share of the processors', async () => {
  const sampler = createSampler({
    clock: new TestClock(),
    log: silentLogger,
    folders: () => [],
    readProc: async (name) => proc[name] ?? '',
  });
  assert.equal(sampler.usage(), null);
  await sampler.measure();
  assert.equal(sampler.usage()?.cpuRatio, null);
  assert.equal(sampler.usage()?.memoryUsedBytes, 750 * 1024);
  assert.equal(sampler.usage()?.load1, 0.5);
});

test('what was read within a second is read once for all who ask', async () => {
  const clock = new TestClock();
  let reads = 0;
  const sampler = createSampler({
    clock,
    log: silentLogger,
    folders: () => [],
    readProc: async (name) => {
      if (name === 'stat') reads += 1;
      return proc[name] ?? '';
    },
  });
  await sampler.measure();
  assert.deepEqual((await sampler.reading()).cpu, { busy: 200, iowait: 0, total: 1_000 });
  assert.equal(reads, 1);
  await clock.advance(1_000);
  await sampler.reading();
  assert.equal(reads, 2);
});

test('folders on one file system make one line, a folder that is gone makes none', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hyper-sampler-'));
  try {
    const sampler = createSampler({
      clock: new TestClock(),
      log: silentLogger,
      folders: () => [
        { path: folder, purpose: 'state' },
        { path: folder, purpose: 'disks' },
        { path: join(folder, 'gone'), purpose: 'pool old' },
      ],
      readProc: async (name) => proc[name] ?? '',
    });
    await sampler.measure();
    const [line, ...others] = sampler.usage()?.filesystems ?? [];
    assert.deepEqual(others, []);
    assert.equal(line?.purpose, 'state, disks');
    assert.ok(line && line.sizeBytes > 0 && line.usedBytes >= 0 && line.usedBytes <= line.sizeBytes);
  } finally {
    await rm(folder, { recursive: true });
  }
});

function hostOf(change: Partial<HostParts> = {}) {
  const clock = new TestClock();
  const events = createEventBus<ApiEvents>(assert.fail);
  let told = 0;
  events.on('host.changed', () => {
    told += 1;
  });
  const parts: HostParts = {
    connection: () => ({ state: 'connected', since: clock.now() }),
    accel: () => 'tcg',
    libvirtVersion: async () => '9.0.0',
    qemuVersion: async () => '7.2.22',
    onConnectionChange: () => () => undefined,
    isWatched: () => false,
    ...change,
  };
  const sampler = createSampler({ clock, log: silentLogger, folders: () => [] });
  return { clock, service: createHostService({ parts, sampler, clock, events, log: silentLogger }), told: () => told };
}

/** Lets real file reads finish under the test clock. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

test('the host fits the contract and grows its history', async () => {
  const { clock, service } = hostOf();
  const stop = new AbortController();
  await service.start(stop.signal);
  await settle();
  for (let step = 0; step < 3; step += 1) {
    await clock.advance(5_000);
    await settle();
  }
  const host = hostSchema.parse(service.local());
  assert.equal(host.state, 'connected');
  assert.equal(host.libvirtVersion, '9.0.0');
  assert.ok(host.cpus > 0 && host.memoryBytes > 0);
  assert.equal(host.usage?.history.memoryRatio.filter((value) => value !== null).length, 4);
  stop.abort();
  await service.stop();
});

test('clients are told only while somebody watches', async () => {
  let isWatched = false;
  const { clock, service, told } = hostOf({ isWatched: () => isWatched });
  const stop = new AbortController();
  await service.start(stop.signal);
  await settle();
  await clock.advance(5_000);
  await settle();
  assert.equal(told(), 0);
  isWatched = true;
  await clock.advance(5_000);
  await settle();
  assert.equal(told(), 1);
  stop.abort();
  await service.stop();
});

test('versions that cannot be read are unknown, not an error', async () => {
  const { service } = hostOf({ libvirtVersion: () => Promise.reject(new Error('gone')) });
  const stop = new AbortController();
  await service.start(stop.signal);
  await settle();
  assert.equal(service.local().libvirtVersion, null);
  stop.abort();
  await service.stop();
});
