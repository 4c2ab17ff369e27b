import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import { type Preflight, preflightSchema } from '#contract/system.ts';
import { systemClock, TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import type { AccelProof, AccelService } from './accel.ts';
import { type CheckDefinition, ok, warn } from './check.ts';
import { fakeContext } from './fake-machine.ts';
import { createPreflightService } from './service.ts';
import { createHealthStore, healthMigrations } from './store.ts';

const PROOF: AccelProof = {
  key: 'k',
  checkedAt: '2026-01-01T00:00:00.000Z',
  kvm: { kind: 'no_device' },
  tcg: { kind: 'works', durationMs: 2000 },
};

function serviceOf(run: CheckDefinition['run'] = async () => ok('fine')) {
  const clock = new TestClock();
  const events = createEventBus<ApiEvents>(assert.fail);
  const told: Preflight[] = [];
  events.on('preflight.changed', (preflight) => told.push(preflight));
  const forced: boolean[] = [];
  let proof: AccelProof | null = null;
  const accel: AccelService = {
    accel: () => 'tcg',
    accelProven: async () => 'tcg',
    proof: () => proof,
    async prove(isForced) {
      forced.push(isForced);
      proof = PROOF;
      return PROOF;
    },
  };
  const check = (id: string): CheckDefinition => ({
    id,
    title: id,
    meaning: id,
    async run(context) {
      await context.proof();
      return run(context);
    },
  });
  const service = createPreflightService({
    checks: [check('a.one'), check('a.two')],
    context: fakeContext(),
    accel,
    clock,
    events,
    log: silentLogger,
  });
  return { service, clock, told, forced };
}

test('before the first run nothing is known; a run is kept, told and fits the contract', async () => {
  const { service, told } = serviceOf();
  assert.equal(service.last(), null);
  const preflight = preflightSchema.parse(await service.run());
  assert.equal(preflight.status, 'ok');
  assert.deepEqual(service.last(), preflight);
  assert.deepEqual(told, [preflight]);
});

test('the accelerator is probed once for all lines of a run', async () => {
  const { service, forced } = serviceOf();
  await service.run();
  assert.deepEqual(forced, [false]);
});

test('callers at once get one run, and one that forces gets a run of its own afterwards', async () => {
  const { service, forced, told } = serviceOf();
  const [first, second] = await Promise.all([service.run(), service.run(), service.run({ isForced: true })]);
  assert.equal(first, second);
  assert.equal(told.length, 2);
  assert.deepEqual(forced, [false, true]);
});

test('progress is told line by line', async () => {
  const { service } = serviceOf(async () => warn('hm', 'do this'));
  const steps: string[] = [];
  await service.run({ onDone: (done, total, { status }) => steps.push(`${done}/${total} ${status}`) });
  assert.deepEqual(steps, ['1/2 warn', '2/2 warn']);
});

test('a run that is broken off keeps the result before', async () => {
  const { service } = serviceOf();
  const before = await service.run();
  const stop = new AbortController();
  stop.abort(new Error('stopped'));
  await assert.rejects(service.run({ signal: stop.signal }), /stopped/);
  assert.equal(service.last(), before);
});

test('it runs at start and every ten minutes until the end', async () => {
  const { service, clock, told } = serviceOf();
  const stop = new AbortController();
  const keeping = service.keepFresh(stop.signal);
  const settle = () => new Promise((resolve) => setTimeout(resolve, 10));
  await settle();
  assert.equal(told.length, 1);
  await clock.advance(9 * 60_000);
  await settle();
  assert.equal(told.length, 1);
  await clock.advance(60_000);
  await settle();
  assert.equal(told.length, 2);
  stop.abort(new Error('stopped'));
  await keeping;
});

test('a proof survives a restart, one of an older shape does not', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hyper-health-'));
  try {
    const path = join(folder, 'state.db');
    const first = openDatabase(path);
    first.migrate('health', healthMigrations);
    const store = createHealthStore(first, systemClock);
    assert.equal(await store.readProof(), null);
    await store.writeProof(PROOF);
    assert.ok((await store.probe()).durationMs >= 0);
    await first.close();

    const second = openDatabase(path);
    assert.deepEqual(await createHealthStore(second, systemClock).readProof(), PROOF);
    await second
      .tables<{ health_memory: { key: string; value: string; at: string } }>()
      .updateTable('health_memory')
      .set({ value: '{"kvm":"yes"}' })
      .execute();
    assert.equal(await createHealthStore(second, systemClock).readProof(), null);
    await second.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
