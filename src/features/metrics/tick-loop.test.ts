import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import type { LogFields, Logger } from '#kernel/logger.ts';
import type { SampleSink } from './sample.ts';
import { createTickLoop } from './tick-loop.ts';

function loopOf() {
  const clock = new TestClock(new Date('2026-03-01T10:00:03Z'));
  const warnings: string[] = [];
  const errors: string[] = [];
  const log: Logger = {
    debug: () => undefined,
    info: () => undefined,
    warn: (_fields: LogFields, message: string) => void warnings.push(message),
    error: (_fields: LogFields, message: string) => void errors.push(message),
    child: () => log,
  };
  const put: string[] = [];
  const sink: SampleSink = { put: (_owner, _kind, _sub, metric) => void put.push(metric) };
  return {
    clock,
    warnings,
    errors,
    put,
    sink,
    loop: createTickLoop({ clock, log, tickMs: 10_000, deadlineMs: 5_000 }),
  };
}
const HOST = { type: 'host', id: 'local' } as const;
const never = new AbortController().signal;

test('a collector that hangs is left out, told to end, and not asked again before it has; others are not kept', async () => {
  const { clock, put, sink, loop } = loopOf();
  let asked = 0;
  let free: () => void = () => undefined;
  let signal: AbortSignal | null = null;
  loop.add({
    name: 'stuck',
    collect: (to, given) => {
      asked += 1;
      signal = given;
      to.put(HOST, 'host', '', 'swap_usage', 0);
      return new Promise<void>((resolve) => {
        free = resolve;
      });
    },
  });
  loop.add({ name: 'quick', collect: (to) => to.put(HOST, 'host', '', 'cpu_usage', 0.5) });
  const first = loop.collect(sink, never);
  await clock.advance(5_000);
  await first;
  assert.deepEqual(put, ['swap_usage', 'cpu_usage']);
  assert.equal((signal as AbortSignal | null)?.aborted, true);
  assert.equal(loop.missed, 1);
  // The second ends without any time passing: nobody is waited for.
  await loop.collect(sink, never);
  assert.equal(asked, 1);
  assert.equal(loop.missed, 2);
  free();
  await new Promise((resolve) => setImmediate(resolve));
  const third = loop.collect(sink, never);
  assert.equal(asked, 2);
  free();
  await third;
  assert.equal(loop.missed, 2);
});

test('a collector that fails, at once or later, takes nothing from others and warns once', async () => {
  const { warnings, put, sink, loop } = loopOf();
  loop.add({
    name: 'throws',
    collect: () => {
      throw new Error('at once');
    },
  });
  loop.add({ name: 'rejects', collect: () => Promise.reject(new Error('later')) });
  loop.add({ name: 'works', collect: (to) => to.put(HOST, 'host', '', 'cpu_usage', 0.5) });
  for (let n = 0; n < 3; n += 1) await loop.collect(sink, never);
  assert.equal(put.length, 3);
  assert.equal(warnings.length, 2);
});

test('ticks fall on the full ten seconds of the wall clock, whatever it is set to', async () => {
  const { clock, loop } = loopOf();
  const stop = new AbortController();
  const ticks: number[] = [];
  const running = loop.run(stop.signal, async (wallTick) => {
    ticks.push(wallTick * 10_000 - clock.now().getTime());
  });
  await clock.advance(7_000);
  await clock.advance(10_000);
  clock.jumpWall(-3_600_000 - 4_000);
  await clock.advance(10_000);
  await clock.advance(4_000);
  await clock.advance(10_000);
  assert.ok(ticks.length >= 4);
  for (const off of ticks.slice(3)) assert.ok(Math.abs(off) <= 50, `${off}`);
  assert.deepEqual(
    ticks.slice(0, 2),
    [-0, -0].map(() => 0),
  );
  stop.abort();
  await running;
});

test('two collectors of one name are refused, one that was taken out is not asked', async () => {
  const { put, sink, loop } = loopOf();
  const collector = { name: 'one', collect: (to: SampleSink) => to.put(HOST, 'host', '', 'cpu_usage', 1) };
  const remove = loop.add(collector);
  assert.throws(() => loop.add(collector), /two collectors/);
  remove();
  await loop.collect(sink, never);
  assert.deepEqual(put, []);
});

test('a tick that fails is told of once, and the next one comes all the same', async () => {
  const { clock, errors, loop } = loopOf();
  const stop = new AbortController();
  const seen: number[] = [];
  const running = loop.run(stop.signal, async (wallTick) => {
    seen.push(wallTick);
    if (seen.length < 3) throw new Error('no room');
  });
  for (let n = 0; n < 4; n += 1) await clock.advance(10_000);
  assert.equal(seen.length, 4);
  assert.deepEqual(errors, ['a tick failed: no room']);
  stop.abort();
  await running;
});
