/** What is measured, on a real libvirtd with real guests (TCG): figures under load are plausible; a QEMU or a libvirtd that stands still
 *  costs its own figures and no others. */

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiEvents } from '#contract/events.ts';
import { METRICS, type MetricName } from '#contract/metric-catalogue.ts';
import { createSampler } from '#features/hosts/sampler.ts';
import { createBackground } from '#features/inventory/background.ts';
import { createInventory, type InventoryApi } from '#features/inventory/inventory.ts';
import { createLibvirtSource } from '#features/inventory/libvirt-source.ts';
import { createVmRows, inventoryMigrations } from '#features/inventory/rows.ts';
import {
  type Collection,
  createCollection,
  eventCountMigrations,
  type JobFigures,
} from '#features/metrics/collect/index.ts';
import { dirtyRatesReader } from '#features/metrics/collect/vms/dirty-rates.ts';
import type { SampleSink } from '#features/metrics/sample.ts';
import { systemClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { newMac, newUuid } from '#kernel/ids.ts';
import { silentLogger } from '#kernel/logger.ts';
import { buildDomainXml, createLibvirtHost, type DomainSpec, type LibvirtHost } from '#libvirt/index.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { runChecked } from '#platform/process.ts';
import { helloDiskCopy } from '../support/guest.ts';
import { missingForLibvirtd, type PrivateLibvirtd, startPrivateLibvirtd } from '../support/libvirtd.ts';

const skip = missingForLibvirtd() ?? false;
const TICK_MS = 10_000;
const HOST = { type: 'host', id: 'local' } as const;

interface Sample {
  readonly tick: number;
  readonly value: number;
}

describe('collecting from a real libvirtd', { skip }, () => {
  let libvirtd: PrivateLibvirtd;
  let libvirt: LibvirtHost;
  let folder: string;
  let db: Database;
  let api: InventoryApi;
  let collection: Collection;
  let inventoryLoops: Promise<void>;
  let ticking: Promise<void>;
  let tick = 0;
  const stopping = new AbortController();
  const samples = new Map<string, Sample[]>();
  const tickListeners = new Set<() => void>();
  const seenJobs: { readonly uuid: string; readonly job: JobFigures | null }[] = [];
  const busy = { name: 'busy', uuid: newUuid(), mac: newMac() };
  const idle = [
    { name: 'idle-1', uuid: newUuid() },
    { name: 'idle-2', uuid: newUuid() },
  ] as const;

  const keyOf = (owner: string, metric: MetricName, sub = '') => `${owner}/${metric}/${sub}`;
  const of = (owner: string, metric: MetricName, sub = '') => samples.get(keyOf(owner, metric, sub)) ?? [];
  const newest = (owner: string, metric: MetricName, sub = '') => of(owner, metric, sub).at(-1)?.value ?? null;
  const since = (fromTick: number, owner: string, metric: MetricName, sub = '') =>
    of(owner, metric, sub).filter((sample) => sample.tick > fromTick);

  const nextTick = () =>
    new Promise<void>((resolve) => {
      const listener = () => {
        tickListeners.delete(listener);
        resolve();
      };
      tickListeners.add(listener);
    });

  /** @param withinTicks how many ticks may pass */
  const until = async (what: string, withinTicks: number, condition: () => boolean) => {
    for (let n = 0; n < withinTicks && !condition(); n += 1) await nextTick();
    assert.ok(condition(), `${what} within ${withinTicks} ticks`);
  };

  const keepTicking = async () => {
    let dueMs = performance.now();
    while (!stopping.signal.aborted) {
      const mine = tick + 1;
      const sink: SampleSink = {
        put(owner, _kind, sub, metric, value) {
          if (value === null) return;
          const key = keyOf(owner.type === 'host' ? 'host' : owner.id, metric, sub);
          const list = samples.get(key) ?? [];
          assert.notEqual(list.at(-1)?.tick, mine, `${key} twice in one tick`);
          list.push({ tick: mine, value });
          samples.set(key, list);
        },
      };
      const signal = AbortSignal.timeout(TICK_MS - 1_000);
      await Promise.all(collection.collectors.map((collector) => collector.collect(sink, signal)));
      tick = mine;
      for (const listener of [...tickListeners]) listener();
      dueMs += TICK_MS;
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: stopping.signal }).catch(
        () => undefined,
      );
    }
  };

  const define = async (spec: Pick<DomainSpec, 'name' | 'uuid' | 'memoryKib' | 'disks' | 'nics'>) => {
    await libvirt.domains.define(
      buildDomainXml({ virtType: 'qemu', vcpus: 1, firmware: { kind: 'bios' }, graphics: 'none', ...spec }),
    );
    await libvirt.domains.create(spec.uuid);
  };

  const type = async (line: string) => {
    const console = await libvirt.domains.openConsole(busy.uuid, { force: true });
    let heard = '';
    console.on('data', (chunk: Buffer) => {
      heard += chunk.toString();
    });
    console.write('\n');
    for (let n = 0; n < 200 && !/[#$] ?$/.test(heard.trimEnd()); n += 1) await sleep(100);
    console.write(`${line}\n`);
    for (let n = 0; n < 200 && !heard.includes('typed-it'); n += 1) await sleep(100);
    assert.match(heard, /typed-it/);
    console.destroy();
  };

  before(async () => {
    libvirtd = await startPrivateLibvirtd();
    libvirt = createLibvirtHost({ uri: libvirtd.uri });
    await libvirt.start();
    const network = await libvirt.networks.define(
      '<network><name>default</name><forward mode="nat"/><bridge name="virbr0"/><ip address="192.168.122.1" netmask="255.255.255.0"><dhcp><range start="192.168.122.2" end="192.168.122.254"/></dhcp></ip></network>',
    );
    await libvirt.networks.create(network.uuid);
    const disk = join(libvirtd.dir, 'busy.qcow2');
    await helloDiskCopy(disk);
    await define({
      ...busy,
      memoryKib: 262_144,
      disks: [{ path: disk, format: 'qcow2', bootOrder: 1 }],
      nics: [{ mac: busy.mac, source: { kind: 'network', network: 'default' } }],
    });
    const [base, overlay] = ['base.raw', 'overlay.qcow2'].map((name) => join(libvirtd.dir, name));
    assert.ok(base && overlay);
    await runChecked(['qemu-img', 'create', '-q', '-f', 'raw', base, '4M'], { timeoutMs: 10_000 });
    const overBase = ['create', '-q', '-f', 'qcow2', '-b', base, '-F', 'raw', overlay];
    await runChecked(['qemu-img', ...overBase], { timeoutMs: 10_000 });
    await define({ ...idle[0], memoryKib: 65_536, disks: [], nics: [] });
    await define({ ...idle[1], memoryKib: 65_536, disks: [{ path: overlay, format: 'qcow2' }], nics: [] });

    folder = await mkdtemp(join(tmpdir(), 'hv-collect-'));
    db = openDatabase(join(folder, 'state.db'));
    db.migrate('inventory', inventoryMigrations);
    db.migrate('metrics-collect', eventCountMigrations);
    const events = createEventBus<ApiEvents>(assert.fail);
    const source = createLibvirtSource(libvirt);
    const rows = createVmRows(db);
    const ofDomain = (name: string) => ({ project: 'default', name });
    const inventory = createInventory({
      ofDomain,
      source,
      rows,
      events,
      clock: systemClock,
      log: silentLogger,
      onOverflow: () => undefined,
    });
    api = inventory.api;
    const background = createBackground({ inventory, source, clock: systemClock, log: silentLogger });
    source.onEvent((event) => inventory.onHostEvent(event));
    source.onConnection(() => {
      inventory.connectionChanged();
      if (source.isConnected) background.requestResync();
    });
    inventoryLoops = background.run(stopping.signal);
    await background.firstPicture(10_000, stopping.signal);
    const sampler = createSampler({ clock: systemClock, log: silentLogger, folders: () => [] });
    collection = createCollection({
      host: HOST,
      inventory: api,
      hosts: { kernelReading: sampler.reading, processors: () => 2 },
      projects: { domainName: (_project, name) => name, get: () => null },
      libvirt,
      db,
      events,
      clock: systemClock,
      log: silentLogger,
      jobKindOf: () => null,
      jobChanged: (uuid, job) => void seenJobs.push({ uuid, job }),
      certificateEndsAt: () => null,
    });
    await collection.start();
    ticking = keepTicking();
  });
  after(async () => {
    stopping.abort();
    await ticking;
    await collection?.stop();
    await libvirt?.stop();
    await inventoryLoops;
    await libvirtd?.close();
    await db?.close();
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  test('a guest that computes and writes shows it; what cannot be known is not there', {
    timeout: 400_000,
  }, async () => {
    await until('the agent', 18, () => newest(busy.uuid, 'vm_agent_up') === 1);
    await type(
      'while :; do :; done & while :; do dd if=/dev/zero of=/data/x bs=1M count=8 conv=fsync 2>/dev/null; done & echo typed"-"it',
    );
    const from = tick + 1;
    await until('three ticks under load', 8, () => since(from, busy.uuid, 'disk_write', 'vda').length >= 3);
    const mean = (metric: MetricName, sub = '') => {
      const values = since(from, busy.uuid, metric, sub).map(({ value }) => value);
      return values.reduce((sum, value) => sum + value, 0) / values.length;
    };
    // On a loaded machine the vCPU has to wait; what it had and what it waited for make the whole.
    const wanted = mean('cpu_usage') + mean('cpu_steal');
    assert.ok(
      mean('cpu_usage') > 0.05 && wanted > 0.6 && wanted < 2.5,
      `cpu ${mean('cpu_usage')} + ${mean('cpu_steal')}`,
    );
    assert.ok(mean('disk_write', 'vda') > 10_000, `disk_write ${mean('disk_write', 'vda')}`);
    assert.ok(mean('disk_write_ops', 'vda') > 0 && mean('disk_latency', 'vda') > 0);
    // The guest has a driver for its balloon, the others have not even a system.
    const memoryUsage = newest(busy.uuid, 'mem_usage') ?? assert.fail('no memory figure');
    assert.ok(memoryUsage > 0.02 && memoryUsage < 1, `mem_usage ${memoryUsage}`);
    assert.equal(newest(idle[0].uuid, 'mem_usage'), null);
    assert.equal(newest(idle[0].uuid, 'mem_balloon'), 65_536 * 1024);
    assert.ok((newest(busy.uuid, 'mem_rss') ?? 0) > 50 * 2 ** 20);
    assert.equal(newest(idle[0].uuid, 'vm_agent_up'), 0);
    assert.ok(
      (newest(busy.uuid, 'disk_usage', '/data') ?? -1) > 0,
      [...samples.keys()].filter((key) => key.includes('disk_usage')).join(),
    );
    assert.ok(since(0, busy.uuid, 'net_rx', busy.mac).length > 0);
    assert.equal(newest(busy.uuid, 'vm_state'), METRICS.vm_state.values.indexOf('running'));
    assert.equal(newest(busy.uuid, 'vm_monitor_stuck'), 0);
    assert.equal(newest(busy.uuid, 'snapshot_chain'), 1);
    assert.equal(newest(idle[1].uuid, 'snapshot_chain'), 2);
    assert.equal(newest('host', 'libvirt_up'), 1);
    assert.ok((newest('host', 'cpu_usage') ?? 0) > 0.3);
    const families = new Map(collection.families().map((family) => [family.name, family]));
    const labels = {
      host: families.get('hyper_vm_info')?.samples[0]?.labels['host'] ?? '',
      vm: 'busy',
      uuid: busy.uuid,
      project: 'default',
    };
    const written = families.get('hyper_vm_block_write_bytes_total')?.samples[0];
    assert.deepEqual(written?.labels, { ...labels, device: 'vda' });
    assert.ok((written?.value ?? 0) > 8 * 2 ** 20);
  });

  test('a guest that writes to its memory has a dirty rate; one that hangs costs its own alone', {
    timeout: 200_000,
  }, async (context) => {
    // The collection measured the three of them in its first minute.
    await until('a dirty rate', 8, () => newest(busy.uuid, 'dirty_rate') !== null);
    assert.equal(newest(idle[0].uuid, 'dirty_rate'), 0);
    // The same content written again is no change to the sample.
    await type('while :; do dd if=/dev/urandom of=/x bs=1M count=64 conv=notrunc 2>/dev/null; done & echo typed"-"it');
    const raw = collection.families().find(({ name }) => name === 'hyper_vm_memory_dirty_rate');
    assert.equal(raw?.samples.length, 3);
    let sinceMs = 0;
    const reader = dirtyRatesReader({
      // Each round comes a quarter of an hour after the one before.
      clock: { now: systemClock.now, sleep: systemClock.sleep, monotonicMs: () => sinceMs },
      log: silentLogger,
      vms: () => [busy, ...idle].map(({ uuid }) => ({ id: uuid, memoryBytes: 2 ** 28 })),
      isFree: () => true,
      control: (uuid) => libvirt.domains.controlInfo(uuid, { deadlineMs: 1_000 }),
      start: libvirt.domains.startDirtyRate,
      async stats(uuids) {
        const all = await libvirt.domains.stats(uuids, ['dirtyrate'], { batchSize: uuids.length });
        return new Map(all.map(({ domain, values }) => [domain.uuid, values]));
      },
    });
    let rate = 0;
    for (let n = 0; n < 10 && rate === 0; n += 1) {
      sinceMs += 900_000;
      rate = (await reader.read(AbortSignal.timeout(60_000)))?.get(busy.uuid) ?? 0;
    }
    assert.ok(rate >= 2 ** 20, 'the guest that writes has a rate');
    const pid = libvirtd.qemuPid(idle[0].name);
    const fromMs = performance.now();
    sinceMs += 900_000;
    process.kill(pid, 'SIGSTOP');
    try {
      const rates = await reader.read(AbortSignal.timeout(60_000));
      assert.deepEqual([...(rates?.keys() ?? [])].sort(), [busy.uuid, idle[1].uuid].sort());
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    const tookMs = Math.round(performance.now() - fromMs);
    context.diagnostic(`dirty rate ${rate / 2 ** 20} MiB/s; a round with one that hangs took ${tookMs} ms`);
    // From here on nothing needs the load, and other tests share these cores.
    await type('kill $(jobs -p); echo typed"-"it');
    await until('the monitor that answers again', 6, () => newest(idle[0].uuid, 'vm_monitor_stuck') === 0);
  });

  test('a backup that another program began is a job of libvirt until it ends', { timeout: 120_000 }, async () => {
    const kinds = METRICS.vm_libvirt_job.values;
    await until('no job', 4, () => newest(busy.uuid, 'vm_libvirt_job') === kinds.indexOf('none'));
    assert.equal(newest(busy.uuid, 'vm_job_progress'), null);
    const socket = join(libvirtd.dir, 'backup.sock');
    const scratch = join(libvirtd.dir, 'scratch.qcow2');
    await libvirt.backup.begin(
      busy.uuid,
      `<domainbackup mode='pull'><server transport='unix' socket='${socket}'/><disks><disk name='vda' backup='yes' type='file'><driver type='qcow2'/><scratch file='${scratch}'/></disk></disks></domainbackup>`,
      null,
    );
    await until('the job', 3, () => newest(busy.uuid, 'vm_libvirt_job') === kinds.indexOf('backup'));
    const job = collection.jobs.get(busy.uuid);
    assert.equal(job?.kind, 'backup');
    const elapsedMs = job?.elapsedMs ?? assert.fail('no time');
    await until('it is followed', 2, () => (collection.jobs.get(busy.uuid)?.elapsedMs ?? 0) > elapsedMs);
    // Of the others nothing is missing meanwhile.
    assert.equal(newest(idle[1].uuid, 'vm_libvirt_job'), kinds.indexOf('none'));
    await libvirt.backup.end(busy.uuid);
    await until('its end', 3, () => newest(busy.uuid, 'vm_libvirt_job') === kinds.indexOf('none'));
    assert.equal(collection.jobs.size, 0);
    assert.equal(seenJobs.at(-1)?.job, null);
    assert.ok(seenJobs.filter(({ uuid, job }) => uuid === busy.uuid && job?.kind === 'backup').length >= 2);
  });

  test('one QEMU that stands still is noticed, and the figures of the others go on', {
    timeout: 300_000,
  }, async (context) => {
    const pid = libvirtd.qemuPid(idle[0].name);
    const from = tick;
    const startedMs = performance.now();
    process.kill(pid, 'SIGSTOP');
    let noticedMs = 0;
    try {
      await until('the stuck monitor', 6, () => (newest(idle[0].uuid, 'vm_monitor_stuck') ?? 0) > 0);
      noticedMs = performance.now() - startedMs;
      await nextTick();
      await nextTick();
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    assert.ok(noticedMs <= 60_000, `noticed after ${noticedMs} ms`);
    const to = tick;
    for (const metric of ['cpu_usage', 'disk_write'] as const) {
      const ticks = since(from, busy.uuid, metric, metric === 'disk_write' ? 'vda' : '').map((sample) => sample.tick);
      const gaps = [from, ...ticks, to].map((at, n, all) => at - (all[n - 1] ?? at) - 1);
      assert.ok(Math.max(...gaps) <= 2, `${metric}: ticks ${ticks} of ${from} to ${to}`);
    }
    assert.equal(newest('host', 'libvirt_up'), 1);
    await until('the monitor that answers again', 4, () => newest(idle[0].uuid, 'vm_monitor_stuck') === 0);
    context.diagnostic(
      `stuck monitor noticed after ${Math.round(noticedMs / 1000)} s; lost calls ${api.counters.lostCalls}`,
    );
  });

  test('a libvirtd that stands still costs the figures that come from it, and comes back', {
    timeout: 300_000,
  }, async () => {
    const from = tick;
    libvirtd.stop();
    try {
      await until('libvirt_up 0', 3, () => newest('host', 'libvirt_up') === 0);
      await nextTick();
      const stopped = tick;
      await nextTick();
      await nextTick();
      assert.deepEqual(since(stopped, busy.uuid, 'cpu_steal'), []);
      assert.deepEqual(since(stopped, busy.uuid, 'vm_state'), []);
      assert.equal(since(stopped, 'host', 'cpu_usage').length, tick - stopped);
      assert.equal(since(stopped, busy.uuid, 'mem_rss').length, tick - stopped);
      assert.equal(newest('host', 'host_state'), METRICS.host_state.values.indexOf('degraded'));
    } finally {
      libvirtd.cont();
    }
    await until('libvirt_up 1', 6, () => newest('host', 'libvirt_up') === 1);
    const back = tick;
    await until('figures of VMs', 6, () => since(back, busy.uuid, 'cpu_usage').length > 0);
    const usage = since(from, busy.uuid, 'cpu_usage').map(({ value }) => value);
    assert.ok(Math.max(...usage) < 3, `no spike after the gap: ${usage}`);
  });

  test('a VM whose QEMU was killed has crashed once, started again it has restarted', {
    timeout: 120_000,
  }, async () => {
    process.kill(libvirtd.qemuPid(idle[1].name), 'SIGKILL');
    await until('the crash', 3, () => newest(idle[1].uuid, 'vm_crash_total') === 1);
    await libvirt.domains.create(idle[1].uuid);
    await until('the restart', 3, () => newest(idle[1].uuid, 'vm_restart_total') === 1);
    assert.equal(newest(idle[1].uuid, 'vm_crash_total'), 1);
  });
});
