import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Control, createMonitorWatch } from './monitor-watch.ts';
import type { Values } from './stat-values.ts';
import { countersWith, REDUCED } from './vms.test-data.ts';

function watch(control: () => Control) {
  const clock = new TestClock();
  const asked: string[] = [];
  const monitors = createMonitorWatch({
    clock,
    log: silentLogger,
    control: async (uuid) => {
      asked.push(uuid);
      return control();
    },
  });
  const look = (values: Values) => monitors.look(new Map([['web1', values]]));
  return { clock, asked, monitors, look };
}

test('a QEMU that gives its whole record answers, and libvirt is not asked', async () => {
  const { asked, monitors, look } = watch(() => assert.fail('asked'));
  assert.equal(monitors.stuckSeconds('web1'), null);
  await look(countersWith());
  assert.equal(monitors.stuckSeconds('web1'), 0);
  assert.deepEqual(asked, []);
});

test('a reduced record and a libvirt that waits: stuck since libvirt waits, until the record is whole again', async () => {
  const { clock, monitors, look } = watch(() => ({ control: 'occupied', sinceMs: 4_000 }));
  await clock.advance(10_000);
  await look(REDUCED);
  assert.equal(monitors.stuckSeconds('web1'), 4);
  await clock.advance(10_000);
  // The next question waits since later; the QEMU hangs since the first.
  await look(REDUCED);
  assert.equal(monitors.stuckSeconds('web1'), 14);
  await look(countersWith());
  assert.equal(monitors.stuckSeconds('web1'), 0);
});

test('a reduced record with a free libvirt is a VM that has nothing to tell', async () => {
  const { monitors, look } = watch(() => ({ control: 'ok', sinceMs: 0 }));
  await look(REDUCED);
  assert.equal(monitors.stuckSeconds('web1'), 0);
});

test('while a long job runs nothing is known, and what is old is not known either', async () => {
  let control: Control = { control: 'job', sinceMs: 60_000 };
  const { clock, monitors, look } = watch(() => control);
  await look(REDUCED);
  assert.equal(monitors.stuckSeconds('web1'), null);
  control = { control: 'error', sinceMs: 0 };
  await look(REDUCED);
  await clock.advance(5_000);
  assert.equal(monitors.stuckSeconds('web1'), 5);
  await clock.advance(180_000);
  assert.equal(monitors.stuckSeconds('web1'), null);
});

test('VMs that are gone are forgotten', async () => {
  const { monitors, look } = watch(() => ({ control: 'ok', sinceMs: 0 }));
  await look(countersWith());
  monitors.keep(new Set());
  assert.equal(monitors.stuckSeconds('web1'), null);
});

test('of more VMs than are asked for at once, all have their turn', async () => {
  const { clock, asked, monitors } = watch(() => ({ control: 'job', sinceMs: 0 }));
  const records = new Map(Array.from({ length: 70 }, (_, n) => [`vm-${n}`, REDUCED] as const));
  for (let n = 0; n < 3; n += 1) {
    await monitors.look(records);
    await clock.advance(10_000);
  }
  assert.equal(new Set(asked).size, 70);
  assert.equal(asked.length, 96);
});
