import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { createCounterMemory } from '../counter-memory.ts';
import { CGROUP_V2, recordedFiles, VM_GROUP } from '../readers/machine.test-data.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { createQemuProcesses, groupOf } from './qemu-processes.ts';

const WEB1 = { id: 'web1', vcpus: 2 };

function setUp(tree: Record<string, string>, pids: Record<string, number> = { web1: 4711 }) {
  const clock = new TestClock();
  let scans = 0;
  const processes = createQemuProcesses({
    files: recordedFiles(tree),
    clock,
    memory: createCounterMemory(),
    processes: async () => {
      scans += 1;
      return new Map(Object.entries(pids));
    },
  });
  return { clock, processes, sink: createRecordingSink(), scans: () => scans };
}

test('with control groups of version 2 the kernel tells processors, pressure and memory of a VM', async () => {
  const tree: Record<string, string> = { ...CGROUP_V2 };
  const { clock, processes, sink } = setUp(tree);
  const first = await processes.collect(sink, [WEB1]);
  assert.deepEqual([...sink.values], [['web1:mem_rss', 301_056 * 1024]]);
  assert.deepEqual([first.get('web1')?.group?.oomKills, first.get('web1')?.group?.throttledPeriods], [1, 7]);
  sink.clear();
  await clock.advance(10_000);
  tree[`${VM_GROUP}/cpu.stat`] = 'usage_usec 15000000\n';
  tree[`${VM_GROUP}/cpu.pressure`] = 'some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n';
  await processes.collect(sink, [WEB1]);
  assert.equal(sink.values.get('web1:cpu_usage'), 0.5);
  assert.equal(sink.values.get('web1:cpu_psi_some'), 0.2);
  assert.equal(sink.values.get('web1:mem_psi_full'), 0);
  assert.equal(sink.values.has('web1:io_psi_some'), false);
});

test('with version 1, or a group that is not the VM’s own, only its memory is told', async () => {
  for (const change of [
    { '/sys/fs/cgroup/cgroup.controllers': undefined },
    { '/proc/4711/cgroup': '0::/system.slice/libvirtd.service\n' },
    { '/proc/4711/cgroup': undefined },
  ]) {
    const tree = Object.fromEntries(
      Object.entries({ ...CGROUP_V2, ...change }).flatMap(([path, text]) => (text === undefined ? [] : [[path, text]])),
    );
    const { clock, processes, sink } = setUp(tree);
    await processes.collect(sink, [WEB1]);
    sink.clear();
    await clock.advance(10_000);
    await processes.collect(sink, [WEB1]);
    assert.deepEqual([...sink.values.keys()], ['web1:mem_rss']);
  }
});

test('a VM without a process here tells nothing, and is not looked for at each tick', async () => {
  const { clock, processes, sink, scans } = setUp({ ...CGROUP_V2 }, {});
  for (let tick = 0; tick < 3; tick += 1) {
    await processes.collect(sink, [WEB1]);
    await clock.advance(10_000);
  }
  assert.deepEqual([...sink.values], []);
  assert.equal(scans(), 1);
});

test('a process that ended is looked for again', async () => {
  const tree: Record<string, string> = { ...CGROUP_V2 };
  const { clock, processes, sink, scans } = setUp(tree);
  await processes.collect(sink, [WEB1]);
  delete tree['/proc/4711/status'];
  for (let tick = 0; tick < 2; tick += 1) {
    sink.clear();
    await clock.advance(10_000);
    await processes.collect(sink, [WEB1]);
  }
  assert.equal(scans(), 2);
});

test('the group of a VM is found above those of its parts, with systemd and without', () => {
  assert.equal(
    groupOf('0::/machine.slice/machine-qemu\\x2d1\\x2da.scope/libvirt/emulator\n'),
    '/machine.slice/machine-qemu\\x2d1\\x2da.scope',
  );
  assert.equal(groupOf('0::/machine/qemu-1-a.libvirt-qemu/libvirt/emulator\n'), '/machine/qemu-1-a.libvirt-qemu');
  assert.equal(groupOf('12:cpu:/machine/qemu-1-a.libvirt-qemu\n'), null);
  assert.equal(groupOf('0::/../machine-qemu-1.scope\n'), null);
  assert.equal(groupOf(''), null);
});
