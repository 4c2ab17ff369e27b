import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createPrograms } from './programs.ts';
import { createRecordingSink } from './recording-sink.test-data.ts';
import { createSlowCollector } from './slow-reader.ts';

const HOST = { type: 'host', id: 'local' } as const;
const signal = new AbortController().signal;

function setUp(read: () => Promise<number | null>) {
  const clock = new TestClock();
  let missed = 0;
  const warnings: string[] = [];
  const collector = createSlowCollector<number>(
    {
      name: 'thing',
      periodMs: 60_000,
      read,
      put: (sink, value) => sink.put(HOST, 'host', '', 'ups_charge', value),
    },
    {
      clock,
      log: { ...silentLogger, warn: (_fields, text) => void warnings.push(text) },
      onMissed: () => {
        missed += 1;
      },
    },
  );
  const sink = createRecordingSink();
  const tick = async () => {
    sink.clear();
    await collector.collect(sink, signal);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, collector, sink, tick, missed: () => missed, warnings };
}

test('what was read goes into the next tick, once, and is read again after its period', async () => {
  let reads = 0;
  const { clock, sink, tick } = setUp(async () => {
    reads += 1;
    return reads;
  });
  await tick();
  assert.deepEqual([...sink.values], []);
  await clock.advance(10_000);
  await tick();
  assert.deepEqual([...sink.values], [['ups_charge', 1]]);
  await clock.advance(10_000);
  await tick();
  assert.deepEqual([...sink.values], []);
  assert.equal(reads, 1);
  await clock.advance(40_000);
  await tick();
  assert.equal(reads, 2);
});

test('what hangs is not asked twice, holds up no tick, and is counted', async () => {
  let reads = 0;
  const { clock, tick, missed } = setUp(() => {
    reads += 1;
    return new Promise(() => undefined);
  });
  for (let n = 0; n < 13; n += 1) {
    await tick();
    await clock.advance(10_000);
  }
  assert.equal(reads, 1);
  assert.equal(missed(), 2);
});

test('a failure is no sample, and the same one is told once', async () => {
  let failure = 'broken';
  const { clock, sink, tick, warnings } = setUp(async () => {
    throw new Error(failure);
  });
  for (const next of ['broken', 'broken', 'other']) {
    failure = next;
    await tick();
    assert.deepEqual([...sink.values], []);
    await clock.advance(60_000);
  }
  assert.deepEqual(warnings, ['thing could not be measured: broken', 'thing could not be measured: other']);
});

test('stopping tells what goes on, and does not wait for what hangs', async () => {
  const { clock, collector, tick } = setUp(() => new Promise(() => undefined));
  await tick();
  const stopped = collector.stop();
  await clock.advance(2_000);
  await stopped;
});

test('a program that is not installed is looked for again after ten minutes', async () => {
  const clock = new TestClock();
  let starts = 0;
  const programs = createPrograms(clock, async () => {
    starts += 1;
    throw new AppError('program_missing', {});
  });
  for (let minute = 0; minute < 11; minute += 1) {
    assert.equal(await programs.ask(['zpool', 'list']), null);
    await clock.advance(60_000);
  }
  assert.equal(starts, 2);
});

test('real programs: one that is there, and one that is not', async () => {
  const programs = createPrograms(new TestClock());
  assert.equal((await programs.ask(['echo', 'x']))?.stdout, 'x\n');
  assert.equal(await programs.ask(['no-such-program-here']), null);
});

test('a reading says how often it comes: its period, or as long as it takes; not how long the machine slept', async () => {
  let free: () => void = () => undefined;
  const { clock, sink, tick } = setUp(
    () =>
      new Promise((resolve) => {
        free = () => resolve(1);
      }),
  );
  const comesAfter = async (ms: number) => {
    await clock.advance(ms - 10_000);
    await tick();
    free();
    await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(10_000);
    await tick();
    return sink.periodsMs.get('ups_charge');
  };
  await tick();
  assert.equal(await comesAfter(20_000), 60_000);
  await clock.advance(50_000);
  await tick();
  assert.equal(await comesAfter(100_000), 150_000);
  await clock.advance(50_000);
  await tick();
  assert.equal(await comesAfter(86_400_000), 60_000);
});
