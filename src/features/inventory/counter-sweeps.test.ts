import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type CounterBatch, createCounterSweeps } from './counter-sweeps.ts';
import type { DomainCounters } from './source.ts';

const uuids = (count: number) => Array.from({ length: count }, (_, n) => `vm-${n}`);

function setUp(options: {
  readonly vms: number;
  /** What the host does; by default it answers at once. */
  answer?(part: string, call: number, clock: TestClock): Promise<void>;
}) {
  const clock = new TestClock();
  const calls: { readonly part: string; readonly count: number }[] = [];
  const batches: CounterBatch[] = [];
  const sweeps = createCounterSweeps({
    clock,
    log: silentLogger,
    running: () => uuids(options.vms),
    source: {
      isConnected: true,
      async counters(asked, part) {
        calls.push({ part, count: asked.length });
        await options.answer?.(part, calls.filter((call) => call.part === part).length, clock);
        return new Map(asked.map((uuid): [string, DomainCounters] => [uuid, { runId: 1, values: new Map() }]));
      },
    },
  });
  sweeps.onBatch((batch) => batches.push(batch));
  return { clock, calls, batches, sweeps };
}

test('those who ask at the same time share one sweep, and what is young is not read again', async () => {
  const { clock, calls, sweeps } = setUp({ vms: 2 });
  await Promise.all([sweeps.sweep(), sweeps.sweep()]);
  await sweeps.monitorPart();
  await sweeps.sweep();
  assert.deepEqual(
    calls.map(({ part }) => part),
    ['plain', 'monitor'],
  );
  await clock.advance(5_000);
  await sweeps.sweep();
  assert.deepEqual(
    calls.map(({ part }) => part),
    ['plain', 'monitor', 'plain'],
  );
});

test('QEMUs are asked in batches of fifty, and less often when that costs more than a quarter of the time', async () => {
  const { clock, calls, sweeps } = setUp({
    vms: 120,
    answer: async (part, _call, time) => {
      if (part === 'monitor') await time.advance(1_000);
    },
  });
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.deepEqual(
    calls.filter(({ part }) => part === 'monitor').map(({ count }) => count),
    [50, 50, 20],
  );
  assert.equal(sweeps.monitorPeriodMs, 20_000);
  await clock.advance(10_000);
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.equal(calls.filter(({ part }) => part === 'monitor').length, 3);
  await clock.advance(10_000);
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.equal(calls.filter(({ part }) => part === 'monitor').length, 6);
});

test('a question that a stuck QEMU held is asked once more, and its time does not slow the others down', async () => {
  const { batches, sweeps } = setUp({
    vms: 60,
    answer: async (part, call, time) => {
      if (part !== 'monitor' || call !== 1) return;
      await time.advance(5_000);
      throw new Error('no answer within 5 s');
    },
  });
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.deepEqual(
    batches.filter(({ part }) => part === 'monitor').map(({ counters }) => counters.size),
    [50, 10],
  );
  assert.equal(sweeps.lostCalls, 1);
  assert.equal(sweeps.monitorPeriodMs, 10_000);
});

test('a question that is refused because too many are held does not slow the others down', async () => {
  const { clock, sweeps } = setUp({
    vms: 3,
    answer: async (part, call, time) => {
      if (part !== 'monitor') return;
      if (call === 1) {
        await time.advance(5_000);
        throw new AppError('timeout');
      }
      if (call === 2) throw new AppError('busy');
    },
  });
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.equal(sweeps.monitorPeriodMs, 10_000);
  assert.equal(sweeps.lostCalls, 1);
  await clock.advance(5_000);
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.equal(sweeps.monitorPeriodMs, 10_000);
});

test('a libvirt that does not answer the plain question is not asked the other one', async () => {
  const { calls, sweeps } = setUp({
    vms: 1,
    answer: async () => {
      throw new Error('gone');
    },
  });
  assert.deepEqual(await sweeps.sweep(), { latencyMs: null });
  await sweeps.monitorPart();
  assert.deepEqual(
    calls.map(({ part }) => part),
    ['plain'],
  );
});

test('a sweep of the plain part does not wait for QEMUs that are still being asked', async () => {
  const held: (() => void)[] = [];
  const { clock, calls, sweeps } = setUp({
    vms: 1,
    answer: (part) => (part === 'plain' ? Promise.resolve() : new Promise((resolve) => held.push(resolve))),
  });
  await sweeps.sweep();
  await clock.advance(10_000);
  assert.notEqual((await sweeps.sweep()).latencyMs, null);
  assert.deepEqual(
    calls.map(({ part }) => part),
    ['plain', 'monitor', 'plain'],
  );
  for (const go of held) go();
  await sweeps.monitorPart();
});

test('a listener that fails is no failure of libvirt, and others hear all the same', async () => {
  const { batches, sweeps } = setUp({ vms: 1 });
  sweeps.onBatch(() => {
    throw new Error('mine');
  });
  const later: string[] = [];
  sweeps.onBatch(({ part }) => later.push(part));
  assert.notEqual((await sweeps.sweep()).latencyMs, null);
  await sweeps.monitorPart();
  assert.equal(batches.length, 2);
  assert.deepEqual(later, ['plain', 'monitor']);
  assert.equal(sweeps.lostCalls, 0);
});

test('a batch that is lost twice takes no others along, and what was waited for in vain counts', async () => {
  const { batches, sweeps } = setUp({
    vms: 120,
    answer: async (part, call, time) => {
      if (part !== 'monitor' || call > 2) return;
      await time.advance(4_000);
      throw new Error('deadline');
    },
  });
  await sweeps.sweep();
  await sweeps.monitorPart();
  assert.deepEqual(
    batches.filter(({ part }) => part === 'monitor').map(({ counters }) => counters.size),
    [50, 20],
  );
  assert.equal(sweeps.lostCalls, 2);
  assert.equal(sweeps.monitorPeriodMs, 60_000);
});
