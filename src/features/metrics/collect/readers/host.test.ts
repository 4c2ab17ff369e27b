import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KernelReading } from '#features/hosts/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { createCounterMemory } from '../counter-memory.ts';
import { createKernelFiles, createPageSize } from '../kernel-files.ts';
import { readFamilies } from '../raw-families.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { createBonds } from './bonds.ts';
import { createHostDisks } from './host-disks.ts';
import { createHostKernel } from './host-kernel.ts';
import { createHostMemory } from './host-memory.ts';
import { createHostNics } from './host-nics.ts';
import * as files from './machine.test-data.ts';
import { pressureOf } from './pressure.ts';

const HOST = { type: 'host', id: 'local' } as const;
const signal = new AbortController().signal;

function hostKernel(tree: Record<string, string>, readings: readonly Omit<KernelReading, 'atMs'>[]) {
  const clock = new TestClock();
  let at = -1;
  const kernelFiles = files.recordedFiles(tree);
  const collector = createHostKernel({
    host: HOST,
    files: kernelFiles,
    pageSize: createPageSize(kernelFiles),
    clock,
    memory: createCounterMemory(),
    reading: async () => {
      at += 1;
      const reading = readings[Math.min(at, readings.length - 1)];
      assert.ok(reading);
      return { ...reading, atMs: clock.monotonicMs() };
    },
    processors: () => 4,
    committedBytes: () => 500,
  });
  return { clock, collector };
}

const MEMORY = { totalBytes: 1_000, usedBytes: 700, availableBytes: 300, swapTotalBytes: 0, swapUsedBytes: 0 };

test('the machine: processors between two looks, memory at once, no swap without swap', async () => {
  const tree: Record<string, string> = {
    '/proc/vmstat': 'pswpin 5\npswpout 100\noom_kill 2\n',
    '/proc/self/smaps': '55aa-55ab r--p 00000000 fe:01 1 /bin/x\nSize: 4 kB\nKernelPageSize:        4 kB\n',
    '/proc/pressure/io': files.PRESSURE_IO,
    '/proc/sys/net/netfilter/nf_conntrack_count': '128\n',
    '/proc/sys/net/netfilter/nf_conntrack_max': '1024\n',
  };
  const load = { load1: 9, load15: 2 };
  const { clock, collector } = hostKernel(tree, [
    { cpu: { busy: 100, iowait: 10, total: 1_000 }, memory: MEMORY, load },
    { cpu: { busy: 150, iowait: 30, total: 1_100 }, memory: MEMORY, load },
  ]);
  const sink = createRecordingSink();
  await collector.collect(sink, signal);
  assert.equal(sink.values.has('cpu_usage'), false);
  assert.equal(sink.values.has('swap_usage'), false);
  assert.deepEqual(
    ['mem_usage', 'mem_committed', 'load15_per_core', 'conntrack_usage', 'oom_kill_total'].map((key) =>
      sink.values.get(key),
    ),
    [0.7, 0.5, 0.5, 0.125, 2],
  );
  sink.clear();
  tree['/proc/vmstat'] = 'pswpin 5\npswpout 110\noom_kill 2\n';
  tree['/proc/pressure/io'] = files.PRESSURE_IO.replace('170551443', '171551443');
  await clock.advance(10_000);
  await collector.collect(sink, signal);
  assert.deepEqual(
    ['cpu_usage', 'cpu_iowait', 'swap_out', 'io_psi_some', 'io_psi_full'].map((key) => sink.values.get(key)),
    [0.5, 0.2, 4_096, 0.1, 0],
  );
  assert.equal(sink.values.has('cpu_psi_some'), false);
  const swapOut = readFamilies([collector.raw]).find(({ name }) => name === 'hyper_host_swap_out_bytes_total');
  assert.equal(swapOut?.samples[0]?.value, 110 * 4_096);
});

test('the machine: a counter of waiting that goes back is left out, a long gap makes no share', async () => {
  const cpu = (busy: number, iowait: number, total: number) => ({
    cpu: { busy, iowait, total },
    memory: null,
    load: null,
  });
  const { clock, collector } = hostKernel({}, [cpu(0, 100, 1_000), cpu(50, 90, 1_100), cpu(60, 95, 9_000)]);
  const sink = createRecordingSink();
  await collector.collect(sink, signal);
  await clock.advance(10_000);
  await collector.collect(sink, signal);
  assert.deepEqual([sink.values.get('cpu_usage'), sink.values.has('cpu_iowait')], [0.5, false]);
  sink.clear();
  await clock.advance(31_000);
  await collector.collect(sink, signal);
  assert.deepEqual([...sink.values], []);
});

test('pressure is told by totals; a kernel without it tells nothing', () => {
  assert.deepEqual(pressureOf(files.PRESSURE_IO), { some: 170_551_443, full: 131_021_111 });
  assert.deepEqual(pressureOf('some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n'), { some: 5, full: null });
  assert.deepEqual(pressureOf(null), { some: null, full: null });
});

test('disks: whole ones only, with the time of a request and none without requests', async () => {
  const tree: Record<string, string> = {
    '/proc/diskstats': files.DISKSTATS,
    '/sys/block/nvme0n1/size': '1\n',
    '/sys/block/loop0/size': '1\n',
    '/sys/block/sda/size': '1\n',
  };
  const clock = new TestClock();
  const collector = createHostDisks({
    host: HOST,
    files: files.recordedFiles(tree),
    clock,
    memory: createCounterMemory(),
  });
  const sink = createRecordingSink();
  await collector.collect(sink, signal);
  assert.deepEqual([...sink.values], []);
  await clock.advance(10_000);
  tree['/proc/diskstats'] = files.DISKSTATS.replace('88012 103 5120344 20021', '88112 103 5122392 20521');
  await collector.collect(sink, signal);
  assert.deepEqual(
    ['disk_read/nvme0n1', 'disk_read_ops/nvme0n1', 'disk_write/nvme0n1', 'disk_latency/nvme0n1'].map((key) =>
      sink.values.get(key),
    ),
    [104_857.6, 10, 0, 0.005],
  );
  assert.equal(sink.values.get('disk_read/sda'), 0);
  assert.equal(sink.values.has('disk_latency/sda'), false);
  assert.equal(
    [...sink.values.keys()].some((key) => /loop0|nvme0n1p1/.test(key)),
    false,
  );
});

test('network cards: without those of VMs, with link and speed where there is one', async () => {
  const tree: Record<string, string> = {
    '/proc/net/dev': files.NET_DEV,
    '/sys/class/net/eno1/operstate': 'up\n',
    '/sys/class/net/eno1/speed': '1000\n',
    '/sys/class/net/br0/operstate': 'unknown\n',
    '/sys/class/net/br0/speed': '-1\n',
  };
  const clock = new TestClock();
  const collector = createHostNics({
    host: HOST,
    files: files.recordedFiles(tree),
    clock,
    memory: createCounterMemory(),
  });
  const sink = createRecordingSink();
  await collector.collect(sink, signal);
  assert.deepEqual(
    [...sink.values],
    [
      ['nic_up/eno1', 1],
      ['nic_speed/eno1', 125_000_000],
    ],
  );
  sink.clear();
  await clock.advance(10_000);
  tree['/proc/net/dev'] = files.NET_DEV.replace('eno1:98765432 1234567    2    5', 'eno1:98775432 1234567    4    5');
  await collector.collect(sink, signal);
  assert.deepEqual(
    ['net_rx/eno1', 'net_tx/eno1', 'net_errors/eno1', 'net_drops/eno1', 'net_rx/vnet3'].map((key) =>
      sink.values.get(key),
    ),
    [1_000, 0, 0.2, 0, undefined],
  );
});

test('the files of this machine can be read, and what is not there is nothing', async () => {
  const real = createKernelFiles();
  assert.match((await real.read('/proc/stat')) ?? '', /^cpu /);
  assert.equal(await real.read('/proc/no/such/file'), null);
  assert.equal(await real.read('/proc'), null);
  assert.deepEqual(await real.list('/proc/no/such/folder'), []);
  assert.ok((await real.list('/proc/self')).includes('status'));
});

function hostMemory(tree: Record<string, string>) {
  const kernelFiles = files.recordedFiles(tree);
  return createHostMemory({ host: HOST, files: kernelFiles, pageSize: createPageSize(kernelFiles) });
}

test('pages: what KSM saves, and huge pages without those that are promised', async () => {
  const collector = hostMemory(files.HUGE_PAGES);
  const sink = createRecordingSink();
  await collector.collect(sink, signal);
  assert.deepEqual(Object.fromEntries(sink.values), {
    ksm_saved: 25_600 * 4096,
    hugepage_size: 2 * 2 ** 30,
    hugepage_free: 512 * 2 ** 20,
    hugepage_usage: 0.75,
    mem_huge: 479_232 * 1024,
  });
  const families = readFamilies([collector.raw]).map(({ name, samples }) => [name, samples]);
  assert.deepEqual(families, [
    ['hyper_host_ksm_saved_bytes', [{ labels: {}, value: 104_857_600 }]],
    ['hyper_host_hugepages_size_bytes', [{ labels: { page_bytes: '2097152' }, value: 2 ** 31 }]],
    ['hyper_host_hugepages_free_bytes', [{ labels: { page_bytes: '2097152' }, value: 2 ** 29 }]],
  ]);
});

test('pages: a kernel without KSM and huge pages, or with files that are no numbers, gives no samples', async () => {
  const broken = {
    '/sys/kernel/mm/ksm/pages_sharing': 'many\n',
    '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages': '4\n',
    '/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages': '',
    '/proc/meminfo': 'AnonHugePages: lots\n',
  };
  for (const tree of [{}, broken]) {
    const collector = hostMemory(tree);
    const sink = createRecordingSink();
    await collector.collect(sink, signal);
    assert.deepEqual([...sink.values], []);
    assert.deepEqual(readFamilies([collector.raw]), []);
  }
});

test('pages: this machine tells what its files hold', async () => {
  const real = createKernelFiles();
  const sink = createRecordingSink();
  await createHostMemory({ host: HOST, files: real, pageSize: createPageSize(real) }).collect(sink, signal);
  const hasKsm = (await real.read('/sys/kernel/mm/ksm/pages_sharing')) !== null;
  assert.equal(sink.values.has('ksm_saved'), hasKsm);
  assert.equal(sink.values.has('mem_huge'), /AnonHugePages/.test((await real.read('/proc/meminfo')) ?? ''));
});

test('bonds: cards without a link, and those that are on their way up, are down', async () => {
  const tree: Record<string, string> = {
    '/proc/net/bonding/bond0': files.bonding('up', 'up'),
    '/proc/net/bonding/bond1': files.bonding('up', 'down', 'going back'),
    '/proc/net/bonding/bond2': files.bonding(),
    '/proc/net/bonding/bond3': 'no bond at all\n',
  };
  const collector = createBonds({ host: HOST, files: files.recordedFiles(tree) });
  const sink = createRecordingSink();
  await collector.collect(sink, signal);
  assert.deepEqual(Object.fromEntries(sink.values), {
    'bond_cards/bond0': 2,
    'bond_cards_down/bond0': 0,
    'bond_cards/bond1': 3,
    'bond_cards_down/bond1': 2,
    'bond_cards/bond2': 0,
    'bond_cards_down/bond2': 0,
  });
  assert.equal(readFamilies([collector.raw]).length, 2);
});
