import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CounterBatch } from '#features/inventory/index.ts';
import { TestClock } from '#kernel/clock.ts';
import { createCounterMemory } from '../counter-memory.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { createVmFigures, type MeasuredVm, type VmFiguresOptions } from './vm-figures.ts';
import { countersWith, REDUCED } from './vms.test-data.ts';

const HOST = { type: 'host', id: 'local' } as const;

function setUp() {
  const clock = new TestClock(new Date(1_767_225_600_000));
  const state = { isUp: true, localCpu: false, isHanging: false, monitorPeriodMs: 10_000 };
  let staleSince: string | null = null;
  let listener: (batch: CounterBatch) => void = () => undefined;
  let cpuNs = 0n;
  const hanging = Promise.withResolvers<void>();
  const stuck = new Map<string, number>();
  const vm: MeasuredVm = {
    id: 'web1',
    vcpus: 2,
    state: 'running',
    stateReason: null,
    desired: 'running',
    nics: [{ mac: '52:54:00:00:00:01' }],
  };
  const options: VmFiguresOptions = {
    host: HOST,
    inventory: {
      vms: () => [vm],
      vm: () => vm,
      isConnected: true,
      get staleSince() {
        return staleSince;
      },
      counters: {
        get monitorPeriodMs() {
          return state.monitorPeriodMs;
        },
        onBatch(added: typeof listener) {
          listener = added;
          return () => {
            listener = () => undefined;
          };
        },
        async sweep() {
          if (!state.isUp) return { latencyMs: null };
          const batch = (part: CounterBatch['part'], values: ReturnType<typeof countersWith>): CounterBatch => ({
            part,
            atMs: clock.monotonicMs(),
            counters: new Map([['web1', { runId: 1, values }]]),
          });
          listener(batch('plain', countersWith()));
          listener(batch('monitor', stuck.has('web1') ? REDUCED : countersWith({ 'cpu.time': cpuNs })));
          return { latencyMs: 42 };
        },
        monitorPart: () => (state.isHanging ? hanging.promise : Promise.resolve()),
      },
    },
    processes: {
      collect: async () =>
        new Map([
          [
            'web1',
            {
              rssBytes: state.localCpu ? 5 : null,
              group: state.localCpu
                ? { cpuMicros: 1, throttledPeriods: null, oomKills: null, pressures: new Map() }
                : null,
            },
          ],
        ]),
      latest: () => new Map(),
    },
    monitors: { look: async () => undefined, keep: () => undefined, stuckSeconds: (id: string) => stuck.get(id) ?? 0 },
    counts: { isOutOfSpace: () => false, put: () => undefined },
    memory: createCounterMemory(),
    clock,
    jobKindOf: () => 'vm.edit',
  };
  const figures = createVmFigures(options);
  figures.listen();
  const sink = createRecordingSink();
  const collect = () => Promise.resolve(figures.collect(sink, new AbortController().signal));
  const tick = async () => {
    sink.clear();
    await collect();
    await clock.advance(10_000);
    cpuNs += 10_000_000_000n;
  };
  return {
    state,
    stuck,
    sink,
    clock,
    figures,
    hanging,
    collect,
    tick,
    setStale: (since: string | null) => {
      staleSince = since;
    },
  };
}

test('a tick tells figures, state and that libvirt answers', async () => {
  const { sink, tick } = setUp();
  await tick();
  await tick();
  assert.equal(sink.values.get('web1:cpu_usage'), 0.5);
  assert.equal(sink.values.get('web1:vm_state'), 0);
  assert.equal(sink.values.get('web1:vm_job'), 8);
  assert.equal(sink.values.get('web1:vm_monitor_stuck'), 0);
  assert.deepEqual([sink.values.get('libvirt_up'), sink.values.get('libvirt_latency')], [1, 0.042]);
});

test('while libvirt does not answer, its figures are missing, and after a long gap there is no rate over it', async () => {
  const { state, sink, tick, setStale } = setUp();
  await tick();
  state.isUp = false;
  setStale('2026-01-01T00:00:00Z');
  for (let n = 0; n < 4; n += 1) {
    await tick();
    assert.deepEqual(
      [...sink.values],
      [
        ['libvirt_up', 0],
        ['host_state', 1],
      ],
    );
  }
  state.isUp = true;
  setStale(null);
  await tick();
  assert.equal(sink.values.has('web1:cpu_usage'), false);
  assert.equal(sink.values.get('web1:vm_state'), 0);
  await tick();
  assert.equal(sink.values.get('web1:cpu_usage'), 0.5);
});

test('a VM with a stuck monitor keeps its network figures, and no disk or memory figure is made up', async () => {
  const { stuck, sink, tick } = setUp();
  await tick();
  stuck.set('web1', 17);
  await tick();
  assert.equal(sink.values.get('web1:vm_monitor_stuck'), 17);
  assert.equal(sink.values.get('web1:net_rx/52:54:00:00:00:01'), 0);
  for (const key of ['disk_read/vda', 'mem_usage']) assert.equal(sink.values.has(`web1:${key}`), false, key);
});

test('what the kernel tells of a VM’s processors is not told twice', async () => {
  const { state, sink, tick } = setUp();
  state.localCpu = true;
  await tick();
  await tick();
  assert.equal(sink.values.has('web1:cpu_usage'), false);
  assert.equal(sink.values.has('web1:mem_rss'), false);
  assert.equal(sink.values.has('web1:cpu_steal'), true);
});

test('a QEMU that holds the question holds up the tick for three seconds, not longer', async () => {
  const { state, sink, clock, collect } = setUp();
  state.isHanging = true;
  const collected = collect();
  await clock.advance(2_999);
  assert.equal(sink.values.has('web1:vm_state'), false);
  await clock.advance(1);
  await collected;
  assert.equal(sink.values.get('web1:vm_state'), 0);
  assert.equal(sink.values.get('libvirt_up'), 1);
});

test('who waits for the question of a tick waits until QEMUs have answered or it was given up', async () => {
  const { state, figures, hanging, clock, collect, tick } = setUp();
  state.isHanging = true;
  let isAsked = false;
  const collected = collect();
  const asked = figures.asked().then(() => {
    isAsked = true;
  });
  await clock.advance(3_000);
  await collected;
  assert.equal(isAsked, false);
  hanging.resolve();
  await asked;
  state.isHanging = false;
  await tick();
  await figures.asked();
});

test('what QEMUs are asked for says how often they are asked', async () => {
  const { state, sink, tick } = setUp();
  state.monitorPeriodMs = 60_000;
  await tick();
  await tick();
  assert.equal(sink.periodsMs.get('web1:cpu_usage'), 60_000);
  assert.equal(sink.periodsMs.get('web1:vm_state'), undefined);
});
