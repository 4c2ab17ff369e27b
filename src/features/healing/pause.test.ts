import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { openDatabase } from '#platform/db/database.ts';
import { healingMigrations } from './migrations.ts';
import { createPauseSwitch, type PauseSwitch } from './pause.ts';
import { createSteadyTime } from './steady-time.ts';

const HOUR_MS = 3_600_000;

interface World {
  clock: TestClock;
  bootId: string;
  uptimeMs: number;
  pause: PauseSwitch;
  /** hyperd begins anew; on another boot after a restart of the machine that was off for so long. */
  restart(offMs?: number): Promise<void>;
}

async function inWorld(work: (world: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-pause-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('healing', healingMigrations);
  const build = async () => {
    const boot = { id: world.bootId, uptimeMs: () => world.uptimeMs + world.clock.monotonicMs() };
    const time = createSteadyTime({ db, clock: world.clock, boot });
    await time.load();
    world.pause = createPauseSwitch({ db, clock: world.clock, time, bootId: world.bootId });
    await world.pause.load();
    await db.transaction((tx) => time.keep(tx, null));
  };
  const world: World = Object.assign(Object.create(null), {
    clock: new TestClock(),
    bootId: 'first',
    uptimeMs: 1_000_000,
    async restart(offMs?: number) {
      const kept = world.clock.now().getTime();
      if (offMs !== undefined) {
        world.bootId = `${world.bootId}+`;
        world.uptimeMs = 0;
        world.clock = new TestClock(new Date(kept + offMs));
      }
      await build();
    },
  });
  try {
    await build();
    await work(world);
  } finally {
    await db.close();
    await rm(dir, { recursive: true, force: true });
  }
}

const begin = ({ pause }: World, minutes = 120) => pause.begin({ minutes, by: 'admin', reason: 'new disks' });

test('a pause lasts as long as it was given, and is told as over once', async () => {
  await inWorld(async (world) => {
    assert.equal(world.pause.current(), null);
    const begun = await begin(world);
    assert.deepEqual(world.pause.current(), begun);
    assert.equal(Date.parse(begun.until) - Date.parse(begun.since), 2 * HOUR_MS);
    await world.clock.advance(2 * HOUR_MS - 1);
    assert.notEqual(world.pause.current(), null);
    assert.equal(await world.pause.tidy(), false);
    await world.clock.advance(1);
    assert.equal(world.pause.current(), null);
    assert.equal(await world.pause.tidy(), true);
    assert.equal(await world.pause.tidy(), false);
  });
});

test('somebody ends it, and a second one takes the place of the first', async () => {
  await inWorld(async (world) => {
    await begin(world, 1);
    await begin(world, 60);
    await world.clock.advance(HOUR_MS / 2);
    assert.notEqual(world.pause.current(), null);
    assert.equal(await world.pause.end(), true);
    assert.equal(world.pause.current(), null);
    assert.equal(await world.pause.end(), false);
    await world.restart();
    assert.equal(world.pause.current(), null);
  });
});

test('a change of the date neither ends nor lengthens it', async () => {
  await inWorld(async (world) => {
    await begin(world);
    world.clock.jumpWall(24 * HOUR_MS);
    assert.notEqual(world.pause.current(), null);
    world.clock.jumpWall(-48 * HOUR_MS);
    await world.clock.advance(2 * HOUR_MS);
    assert.equal(world.pause.current(), null);
  });
});

test('it outlives a restart of hyperd; while the machine is off its time goes on by the date', async () => {
  await inWorld(async (world) => {
    await begin(world);
    await world.clock.advance(HOUR_MS / 2);
    await world.restart();
    assert.equal(world.pause.current()?.reason, 'new disks');
    await world.restart(HOUR_MS);
    assert.notEqual(world.pause.current(), null);
    await world.clock.advance(HOUR_MS / 2 - 1);
    assert.notEqual(world.pause.current(), null);
    await world.clock.advance(1);
    assert.equal(world.pause.current(), null);
    await begin(world);
    await world.restart(3 * HOUR_MS);
    assert.equal(world.pause.current(), null);
  });
});

test('a machine that wakes in the past waits no longer than the whole pause', async () => {
  await inWorld(async (world) => {
    await begin(world);
    await world.restart(-1_000 * HOUR_MS);
    assert.notEqual(world.pause.current(), null);
    await world.clock.advance(2 * HOUR_MS);
    assert.equal(world.pause.current(), null);
  });
});
