import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createPush } from './push.ts';
import type { OpenTarget, PushAnswer } from './target.ts';

const OK: PushAnswer = { status: 204, retryAfter: null, words: '' };
const TICK_MS = 10_000;

function setUp(answer: (atMs: number) => Promise<PushAnswer> | PushAnswer, seriesCount = 3) {
  const clock = new TestClock();
  const sent: { atMs: number; count: number }[] = [];
  const target: OpenTarget = {
    name: 'tsdb',
    kind: 'remote_write',
    address: 'https://tsdb.example/write',
    async send({ atMs }, from, to, signal) {
      const ended = new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
      // An answer that came first leaves it behind.
      ended.catch(() => undefined);
      const found = await Promise.race([answer(atMs), ended]);
      sent.push({ atMs, count: to - from });
      return found;
    },
  };
  const samples = Array.from({ length: seriesCount }, (_, n) => ({ labels: { n: String(n) }, value: n }));
  const push = createPush({
    clock,
    log: silentLogger,
    families: () => [{ name: 'x', type: 'gauge', help: '', samples }],
    hostName: () => 'node1',
  });
  push.open([target]);
  const stop = new AbortController();
  const running = push.run(stop.signal);
  let atMs = 0;
  return {
    push,
    clock,
    sent,
    /** One measurement; also what becomes of it at once. */
    async tick() {
      atMs += TICK_MS;
      push.ticked(atMs);
      await clock.advance(TICK_MS);
    },
    status() {
      return push.status()[0] ?? assert.fail('no target');
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('the test ends'));
      await running;
    },
  };
}

test('each measurement is sent, in requests of at most two thousand figures', async () => {
  await using world = setUp(() => OK, 4_500);
  await world.tick();
  await world.tick();
  assert.deepEqual(
    world.sent.map(({ atMs, count }) => [atMs, count]),
    [10_000, 20_000].flatMap((at) => [
      [at, 2_000],
      [at, 2_000],
      [at, 500],
    ]),
  );
  const { state, queuedTicks, sentSamples, error } = world.status();
  assert.deepEqual(
    { state, queuedTicks, sentSamples, error },
    { state: 'ok', queuedTicks: 0, sentSamples: 9_000, error: null },
  );
});

test('a target that never answers delays nothing; sixty measurements wait, the oldest are given up and counted', async () => {
  await using world = setUp(() => new Promise<PushAnswer>(() => undefined));
  for (let n = 0; n < 75; n += 1) await world.tick();
  assert.equal(world.status().queuedTicks, 60);
  assert.equal(world.status().droppedTicks, 15);
  const families = new Map(world.push.families().map((family) => [family.name, family.samples[0]]));
  assert.deepEqual(families.get('hyper_push_dropped_ticks_total'), { labels: { target: 'tsdb' }, value: 15 });
  assert.deepEqual(families.get('hyper_push_queued_ticks'), { labels: { target: 'tsdb' }, value: 60 });
});

test('what could not be sent follows in its order when the target is back, and the problem goes', async () => {
  let isDown = true;
  await using world = setUp(() => {
    if (isDown) throw new Error('it refuses the connection');
    return OK;
  });
  for (let n = 0; n < 59; n += 1) await world.tick();
  assert.equal(world.push.problems().length, 0, 'not yet ten minutes');
  for (let n = 0; n < 3; n += 1) await world.tick();
  const [problem] = world.push.problems();
  assert.equal(problem?.id, 'metrics.push:tsdb');
  assert.match(problem?.detail ?? '', /https:\/\/tsdb\.example\/write .*it refuses the connection/);
  assert.equal(world.status().state, 'failing');
  isDown = false;
  for (let n = 0; n < 8; n += 1) await world.tick();
  assert.deepEqual(world.push.problems(), []);
  assert.equal(world.status().state, 'ok');
  assert.equal(world.status().queuedTicks, 0);
  const times = world.sent.map(({ atMs }) => atMs);
  assert.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );
  assert.equal(new Set(times).size, times.length);
  assert.equal(times.length + world.status().droppedTicks, 70);
});

test('figures that a target will never take are given up; a missing right or database is waited for', async () => {
  let status = 400;
  await using world = setUp(() => ({ status, retryAfter: null, words: 'out of order' }));
  await world.tick();
  assert.deepEqual(
    [world.status().state, world.status().queuedTicks, world.status().droppedTicks, world.status().error],
    ['failing', 0, 1, 'it answers 400: out of order'],
  );
  for (status of [401, 404, 429, 503]) await world.tick();
  assert.equal(world.status().droppedTicks, 1);
  assert.ok(world.status().queuedTicks > 0);
});

test('a target that asks for time gets it, a minute at most', async () => {
  let isBusy = true;
  await using world = setUp(() => (isBusy ? { status: 429, retryAfter: '3600', words: '' } : OK));
  await world.tick();
  isBusy = false;
  for (let n = 0; n < 4; n += 1) await world.tick();
  assert.equal(world.sent.length, 1, 'not asked again within a minute');
  for (let n = 0; n < 2; n += 1) await world.tick();
  assert.equal(world.status().state, 'ok');
});
