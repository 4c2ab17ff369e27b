import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS } from '#contract/metric-catalogue.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createRecordingSink } from '../recording-sink.test-data.ts';
import { type JobFigures, type JobInfo, jobFiguresOf } from './job-figures.ts';
import { createJobWatch } from './job-watch.ts';
import type { Control } from './monitor-watch.ts';

const info = (type: JobInfo['type'], params: Readonly<Record<string, number | bigint | string>>): JobInfo => ({
  type,
  params: Object.entries(params).map(([name, value]) => ({ name, value })),
});

/** As libvirt 9.0 tells of a guest of 256 MiB on its way to another host. */
const MIGRATION = info('unbounded', {
  operation: 5,
  time_elapsed: 1_500n,
  data_total: 285_220_864n,
  data_processed: 71_305_216n,
  data_remaining: 213_915_648n,
  memory_total: 285_220_864n,
  memory_processed: 71_305_216n,
  memory_remaining: 213_915_648n,
  memory_dirty_rate: 12n,
  disk_total: 0n,
  disk_processed: 0n,
  disk_remaining: 0n,
});

test('a job: what it is, how far, and what is left', () => {
  assert.deepEqual(jobFiguresOf(MIGRATION), {
    kind: 'migration_out',
    ratio: 0.25,
    doneBytes: 71_305_216,
    totalBytes: 285_220_864,
    remainingBytes: 213_915_648,
    elapsedMs: 1_500,
    remainingMs: null,
  });
  const backup = jobFiguresOf(
    info('unbounded', { operation: 9, time_elapsed: 9n, disk_total: 100n, disk_processed: 40n }),
  );
  assert.deepEqual([backup?.kind, backup?.ratio, backup?.remainingBytes], ['backup', 0.4, 60]);
});

test('a job that says nothing of itself has no numbers, and what is over is none', () => {
  const bare = jobFiguresOf(info('bounded', {}));
  assert.deepEqual([bare?.kind, bare?.ratio, bare?.remainingBytes, bare?.elapsedMs], ['other', null, null, null]);
  assert.equal(jobFiguresOf(info('unbounded', { operation: 99 }))?.kind, 'other');
  const odd = jobFiguresOf(info('unbounded', { operation: 2, data_total: 2n ** 63n, data_processed: 5n }));
  assert.deepEqual([odd?.kind, odd?.ratio, odd?.totalBytes], ['save', null, null]);
  // A guest that changes its memory faster than it is copied.
  const behind = jobFiguresOf(info('unbounded', { data_total: 10n, data_processed: 50n, data_remaining: 12n }));
  assert.equal(behind?.ratio, 0);
  for (const type of ['none', 'completed', 'failed', 'cancelled'] as const)
    assert.equal(jobFiguresOf({ ...MIGRATION, type }), null);
});

const KINDS = METRICS.vm_libvirt_job.values;

function world(count: number) {
  const clock = new TestClock();
  const vms = Array.from({ length: count }, (_, n) => `vm-${n}`);
  const control = new Map<string, Control['control']>();
  const busy = new Set<string>();
  const stuck = new Set<string>();
  const workedOn = new Set<string>();
  /** For how long libvirt waits for the QEMUs that it waits for. */
  const heldMs = 10_000;
  const asked: string[] = [];
  const questions: string[] = [];
  const changes: (readonly [string, JobFigures | null])[] = [];
  const failing = new Set<string>();
  const state = { isUp: true, asked: Promise.resolve() };
  const watch = createJobWatch({
    clock,
    log: silentLogger,
    vms: () => (state.isUp ? vms : []),
    asked: () => state.asked,
    isWorkedOn: (uuid) => workedOn.has(uuid),
    isStuck: (uuid) => stuck.has(uuid),
    async control(uuid) {
      asked.push(uuid);
      if (failing.has(uuid)) throw new Error('no answer');
      return { control: control.get(uuid) ?? 'ok', sinceMs: heldMs };
    },
    async job(uuid) {
      questions.push(uuid);
      return busy.has(uuid) ? MIGRATION : info('none', {});
    },
    changed: (uuid, job) => void changes.push([uuid, job]),
  });
  const sink = createRecordingSink();
  const settle = async () => {
    for (let n = 0; n < 50; n += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  const tick = async () => {
    await clock.advance(10_000);
    sink.clear();
    await watch.collect(sink, new AbortController().signal);
    await settle();
  };
  return {
    clock,
    watch,
    busy,
    stuck,
    control,
    workedOn,
    failing,
    asked,
    questions,
    changes,
    sink,
    tick,
    settle,
    state,
  };
}

test('nothing is asked before it is known which QEMUs answer', async () => {
  const { state, stuck, asked, tick, settle } = world(2);
  const { promise, resolve } = Promise.withResolvers<void>();
  state.asked = promise;
  await tick();
  assert.deepEqual(asked, []);
  stuck.add('vm-0');
  resolve();
  await settle();
  assert.deepEqual(asked, ['vm-1']);
});

test('a job is followed every two seconds until it is over', async () => {
  const { clock, watch, busy, questions, changes, sink, tick, settle } = world(2);
  await tick();
  await tick();
  assert.equal(sink.values.get('vm-0:vm_libvirt_job'), KINDS.indexOf('none'));
  assert.deepEqual(changes, []);
  busy.add('vm-1');
  await tick();
  await tick();
  assert.equal(sink.values.get('vm-1:vm_libvirt_job'), KINDS.indexOf('migration_out'));
  assert.equal(sink.values.get('vm-1:vm_job_progress'), 0.25);
  const asked = () => questions.filter((uuid) => uuid === 'vm-1').length;
  const before = asked();
  for (let n = 0; n < 3; n += 1) {
    await clock.advance(2_000);
    await settle();
  }
  assert.equal(asked() - before, 3);
  assert.deepEqual([...watch.jobs.keys()], ['vm-1']);
  busy.clear();
  await tick();
  assert.equal(watch.jobs.size, 0);
  assert.deepEqual(changes.at(-1), ['vm-1', null]);
  const end = asked();
  await clock.advance(8_000);
  await settle();
  assert.equal(asked(), end);
  await watch.stop();
});

test('a VM that is stuck, or whose QEMU libvirt waits for or lost, is not asked', async () => {
  const { watch, stuck, control, questions, asked, tick } = world(4);
  stuck.add('vm-0');
  control.set('vm-1', 'occupied');
  control.set('vm-2', 'error');
  control.set('vm-3', 'job');
  await tick();
  await tick();
  assert.deepEqual([...new Set(questions)], ['vm-3']);
  assert.equal(asked.includes('vm-0'), false);
  await watch.stop();
});

test('of many VMs those on which an operation works are looked at each time, the others in turn', async () => {
  const { watch, workedOn, asked, tick } = world(100);
  workedOn.add('vm-99');
  for (let n = 0; n < 4; n += 1) await tick();
  assert.equal(asked.filter((uuid) => uuid === 'vm-99').length, 4);
  assert.equal(new Set(asked).size, 100);
  assert.ok(asked.length <= 4 * 33, `${asked.length} questions`);
  await watch.stop();
});

test('what is not known has no sample: a VM that does not answer, and all while libvirt is away', async () => {
  const { watch, busy, failing, changes, sink, tick, state } = world(1);
  busy.add('vm-0');
  await tick();
  failing.add('vm-0');
  for (let n = 0; n < 5; n += 1) await tick();
  assert.deepEqual([...sink.values], []);
  state.isUp = false;
  await tick();
  assert.equal(watch.jobs.size, 0);
  assert.deepEqual(changes.at(-1), ['vm-0', null]);
  await watch.stop();
});
