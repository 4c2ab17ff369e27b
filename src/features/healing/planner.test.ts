import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ApiEvents } from '#contract/events.ts';
import { HEALER } from '#contract/healer.ts';
import { healingFacts } from '#contract/healing.ts';
import type { Operation } from '#contract/operations.ts';
import { TestClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import type { Hands, Work } from './allowed-work.ts';
import type { Finder } from './finding.ts';
import { healingMigrations } from './migrations.ts';
import { createPlanner, type Planner } from './planner.ts';
import { createSteadyTime } from './steady-time.ts';
import { createHealingStore, type HealingStore, listActs } from './store.ts';

const VM = '00000000-0000-4000-8000-000000000001';
const DELAYS_MS = [10_000, 30_000, 120_000, 600_000];
const HOUR_MS = 3_600_000;

const operation = (id: string, values: Partial<Operation> = {}): Operation => ({
  id,
  kind: 'vm.start',
  title: 'Start web1',
  state: 'running',
  actor: HEALER,
  objectType: 'vm',
  objectId: VM,
  objectName: 'web1',
  vmId: VM,
  project: 'default',
  steps: [],
  progress: null,
  canCancel: true,
  isDismissed: false,
  error: null,
  result: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  finishedAt: null,
  requestId: null,
  ...values,
});

interface World {
  clock: TestClock;
  uptimeMs: number;
  bootId: string;
  isWrong: boolean | null;
  obstacle: string | null;
  paused: string | null;
  /** Ids of acts for which something was started, in order, and when. */
  started: { readonly work: Work; readonly actId: string; readonly atMs: number }[];
  told: { readonly severity: string; readonly title: string }[];
  store: HealingStore;
  db: Database;
  planner: Planner;
  /** As after a restart of hyperd. */
  restart(): Promise<void>;
  /** Lets so much time pass, with a round each second. */
  pass(ms: number): Promise<void>;
  /** How the newest operation ends. */
  end(state: Operation['state']): Promise<void>;
  results(): Promise<string[]>;
}

async function inWorld(work: (world: World) => Promise<void>, finderFacts: Partial<Finder> = {}): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-heal-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('healing', healingMigrations);
  const known = new Map<string, Operation>();
  const events = createEventBus<ApiEvents>((error) => {
    throw error;
  });
  const build = async () => {
    const time = createSteadyTime({
      db,
      clock: world.clock,
      boot: { id: world.bootId, uptimeMs: () => world.uptimeMs + world.clock.monotonicMs() },
    });
    const store = createHealingStore(db);
    await time.load();
    await store.load();
    const hands: Hands = {
      async start(what, { actId }) {
        const made = operation(`op-${actId}`);
        known.set(made.id, made);
        world.started.push({ work: what, actId, atMs: world.clock.monotonicMs() });
        return made;
      },
      startedFor: async (actId) => known.get(`op-${actId}`) ?? null,
      get: async (id) => known.get(id) ?? null,
      isLocked: () => false,
    };
    const finder: Finder = {
      action: 'vm-restart',
      delaysMs: DELAYS_MS,
      isOnce: false,
      find: async () =>
        world.isWrong === null
          ? null
          : {
              isUnknown: () => false,
              findings: world.isWrong
                ? [
                    {
                      object: { type: 'vm', id: VM, name: 'web1', project: 'default' },
                      found: 'its QEMU died',
                      remedy: 'start it',
                      obstacle: world.obstacle === null ? null : { text: world.obstacle, isWorthTelling: true },
                      isStillSo: () => world.isWrong === true,
                      work: { kind: 'vm.start', input: { vmId: VM, name: 'web1' } },
                    },
                  ]
                : [],
            },
      ...finderFacts,
    };
    world.store = store;
    world.planner = createPlanner({
      db,
      clock: world.clock,
      time,
      store,
      hands,
      notices: {
        announceEvent: async (_tx, { severity, title }) => void world.told.push({ severity, title }),
      },
      events,
      log: silentLogger,
      finders: [finder],
      perHour: (action) => healingFacts(action).perHour,
      oomKills: () => null,
      pausedBecause: () => world.paused,
      killPoint: null,
    });
    await world.planner.resume();
  };
  const world: World = Object.assign(Object.create(null), {
    clock: new TestClock(),
    uptimeMs: 1_000_000,
    bootId: 'first',
    isWrong: false,
    obstacle: null,
    paused: null,
    started: [],
    told: [],
    db,
    restart: build,
    async pass(ms: number) {
      for (let leftMs = ms; leftMs > 0; leftMs -= 1_000) {
        await world.clock.advance(Math.min(1_000, leftMs));
        await world.planner.round();
      }
    },
    async end(state: Operation['state']) {
      const newest = known.get(`op-${world.started.at(-1)?.actId}`);
      assert.ok(newest, 'something was started');
      const ended = { ...newest, state };
      known.set(ended.id, ended);
      world.planner.heardOf(ended);
      await world.planner.settled();
    },
    results: async () =>
      (await listActs(db, { of: null, ofHost: true }, { limit: 100 })).map(({ result }) => result).reverse(),
  });
  try {
    await build();
    await work(world);
  } finally {
    await db.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const crash = async (world: World) => {
  world.isWrong = true;
  await world.planner.round();
};
const well = async (world: World) => {
  world.isWrong = false;
  await world.planner.round();
};

test('a crash loop is restarted after 10 s, 30 s, 2 min, 10 min and 10 min, and then a person is told once', async () => {
  await inWorld(async (world) => {
    for (const delayMs of [10_000, 30_000, 120_000, 600_000, 600_000]) {
      const fromMs = world.clock.monotonicMs();
      const before = world.started.length;
      await crash(world);
      await world.pass(delayMs - 1_000);
      assert.equal(world.started.length, before, `nothing before ${delayMs} ms are over`);
      await world.pass(1_000);
      assert.equal(world.started.length, before + 1);
      assert.equal((world.started.at(-1)?.atMs ?? 0) - fromMs, delayMs);
      await world.end('done');
      await well(world);
    }
    await crash(world);
    await world.pass(3 * HOUR_MS);
    assert.equal(world.started.length, 5, 'nothing more until somebody started it');
    assert.deepEqual(
      world.told.filter(({ severity }) => severity === 'critical').map(({ title }) => title),
      ['Healing gave up: web1'],
    );
    assert.deepEqual(await world.results(), ['done', 'done', 'done', 'done', 'done', 'gave_up']);
    // Somebody starts it; hours later a crash is one like the first.
    await well(world);
    await crash(world);
    await world.pass(10_000);
    assert.equal(world.started.length, 6);
  });
});

test('in no hour are there more than five starts, however often it crashes, restarts of hyperd and steps of the date in between', async () => {
  const seed = Number(process.env['HV_TEST_SEED'] ?? Date.now() % 100_000);
  console.log(`# seed ${seed}`);
  let state = seed >>> 0;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  await inWorld(async (world) => {
    for (let n = 0; n < 60; n += 1) {
      await crash(world);
      await world.pass(Math.ceil(next() * 700_000));
      if (world.started.length > 0 && next() < 0.8) await world.end('done');
      if (next() < 0.3) world.clock.jumpWall((next() - 0.5) * 4e10);
      if (next() < 0.3) await world.restart();
      await well(world);
    }
    const times = world.started.map(({ atMs }) => atMs);
    for (const atMs of times)
      assert.ok(
        times.filter((other) => other > atMs - HOUR_MS && other <= atMs).length <= 5,
        `around ${atMs}, seed ${seed}`,
      );
    assert.ok(times.length > 5, `only ${times.length} starts, seed ${seed}`);
  });
});

test('an operation that a person begins ends healing until the thing was well again', async () => {
  await inWorld(async (world) => {
    await crash(world);
    world.planner.heardOf(operation('op-other', { actor: 'alice', kind: 'vm.edit', title: 'Edit web1' }));
    await world.planner.settled();
    await world.restart();
    await world.pass(HOUR_MS);
    assert.equal(world.started.length, 0);
    assert.deepEqual(await world.results(), ['ended']);
    await well(world);
    await crash(world);
    await world.pass(10_000);
    assert.equal(world.started.length, 1);
  });
});

test('a healing operation that a person cancels is not begun again', async () => {
  await inWorld(async (world) => {
    await crash(world);
    await world.pass(10_000);
    await world.end('cancelled');
    await world.pass(HOUR_MS);
    assert.equal(world.started.length, 1);
    assert.deepEqual(await world.results(), ['cancelled']);
  });
});

test('a start that fails is tried again after the next delay', async () => {
  await inWorld(async (world) => {
    await crash(world);
    await world.pass(10_000);
    await world.end('failed');
    await world.pass(29_000);
    assert.equal(world.started.length, 1);
    await world.pass(1_000);
    assert.equal(world.started.length, 2);
  });
});

test('while nothing can be known nothing is done, and what was open stays open', async () => {
  await inWorld(async (world) => {
    await crash(world);
    world.isWrong = null;
    await world.pass(HOUR_MS);
    assert.equal(world.started.length, 0);
    world.isWrong = true;
    await world.planner.round();
    assert.equal(world.started.length, 1, 'its delay is long over');
  });
});

test('an obstacle is told once and waited out', async () => {
  await inWorld(async (world) => {
    world.obstacle = 'a file of its disks is missing.';
    await crash(world);
    await world.pass(HOUR_MS);
    assert.deepEqual(await world.results(), ['held']);
    world.obstacle = null;
    await world.planner.round();
    assert.equal(world.started.length, 1);
  });
});

test('observing writes down once what would have been done; acting begins when the mode says so; off does nothing', async () => {
  await inWorld(async (world) => {
    await world.store.setMode('vm-restart', '', 'observe', 0);
    await crash(world);
    await world.pass(HOUR_MS);
    assert.equal(world.started.length, 0);
    assert.deepEqual(await world.results(), ['would_have']);
    await world.store.setMode('vm-restart', VM, 'act', 0);
    await world.planner.round();
    assert.equal(world.started.length, 1, 'its own mode says act');
    await world.store.setMode('vm-restart', '', 'off', 0);
    await world.end('failed');
    await world.pass(HOUR_MS);
    assert.equal(world.started.length, 1, 'off for all is off for each');
  });
});

test('budgets and delays outlive a restart of hyperd; time that the machine was off does not count', async () => {
  await inWorld(async (world) => {
    await crash(world);
    await world.pass(5_000);
    await world.restart();
    await world.pass(4_000);
    assert.equal(world.started.length, 0);
    await world.pass(1_000);
    assert.equal(world.started.length, 1, 'the delay went on');
    await world.end('failed');
    world.bootId = 'second';
    world.uptimeMs = 0;
    world.clock.jumpWall(365 * 24 * HOUR_MS);
    await world.restart();
    await world.pass(29_000);
    assert.equal(world.started.length, 1, 'a year off is no time that passed');
    await world.pass(2_000);
    assert.equal(world.started.length, 2);
  });
});

test('an act that was written down and never begun is not begun after a restart; one that was is followed to its end', async () => {
  await inWorld(async (world) => {
    await world.db.transaction((tx) =>
      world.store.addAct(tx, {
        id: 'heal-of-an-earlier-life',
        at: '2026-01-01T00:00:00.000Z',
        steady_ms: 0,
        action: 'vm-restart',
        object_type: 'vm',
        object_id: VM,
        object_name: 'web1',
        project: 'default',
        result: 'begun',
        text: 'Its QEMU died.',
        operation_id: null,
      }),
    );
    await world.restart();
    assert.deepEqual(await world.results(), ['not_begun']);
    await crash(world);
    await world.pass(10_000);
    await world.restart();
    await world.end('done');
    assert.deepEqual(await world.results(), ['not_begun', 'done']);
  });
});

test('while healing is paused nothing is done and nobody is told; what was found is written down once, and done afterwards', async () => {
  await inWorld(async (world) => {
    world.paused = 'healing is paused until noon by admin.';
    await crash(world);
    await world.pass(HOUR_MS);
    assert.deepEqual(world.started, []);
    assert.deepEqual(world.told, []);
    assert.deepEqual(await world.results(), ['held']);
    await world.restart();
    await world.pass(60_000);
    assert.deepEqual(await world.results(), ['held']);
    world.paused = null;
    await world.pass(1_000);
    assert.equal(world.started.length, 1);
    await world.end('done');
    assert.deepEqual(await world.results(), ['held', 'done']);
  });
});

test('what is only observed is not even that while healing is paused', async () => {
  await inWorld(async (world) => {
    await world.store.setMode('vm-restart', '', 'observe', 0);
    world.paused = 'healing is paused until noon by admin.';
    await crash(world);
    await world.pass(60_000);
    assert.deepEqual(await world.results(), ['held']);
    world.paused = null;
    await world.pass(1_000);
    assert.deepEqual(await world.results(), ['held', 'would_have']);
    assert.deepEqual(world.started, []);
  });
});
