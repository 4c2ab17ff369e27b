import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import type { Vm } from '#contract/vms.ts';
import type { OwnedHolding } from '#features/quotas/index.ts';
import { type Clock, TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import { GIB, MIB } from '#kernel/units.ts';
import { calendarMigrations, createCalendar } from '#platform/calendar.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import { createAccountingClock } from './clock.ts';
import { type Accounting, createAccounting } from './keeper.ts';
import { type Amounts, monthOf } from './meter.ts';
import { accountingMigrations, createAccountingStore } from './store.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

interface Guest {
  readonly id: string;
  readonly project: string;
  readonly owner: string | null;
  isOn: boolean;
  vcpus: number;
  memoryBytes: number;
  diskBytes: number;
  backupBytes: number;
  startedMs: number;
}

/** A host with guests, its true hours, and a daemon that may be killed at any time. */
class World {
  readonly clock: TestClock;
  readonly #db: Database;
  readonly guests = new Map<string, Guest>();
  readonly truth = new Map<string, Amounts>();
  boot = { id: 'boot-1', sinceMs: 0 };
  isLibvirtThere = true;
  /** Longer than in life where a month is to pass within seconds. */
  tickMs = MINUTE;
  /** How far the wall clock is from the true time. */
  #wrongByMs = 0;
  #daemon: { accounting: Accounting; stop: AbortController } | null = null;

  constructor(db: Database, start: string) {
    this.#db = db;
    this.clock = new TestClock(new Date(start));
  }

  #holdings(guest: Guest): OwnedHolding[] {
    const { id: objectId, project, owner } = guest;
    return [
      { objectId, project, owner, resource: 'vms', amount: 1 },
      { objectId, project, owner, resource: 'disk', amount: guest.diskBytes },
      { objectId, project, owner, resource: 'backups', amount: guest.backupBytes },
    ];
  }

  #view(guest: Guest): Vm {
    const state = this.isLibvirtThere ? (guest.isOn ? 'running' : 'off') : 'unknown';
    return fakeVm(guest.id, { id: guest.id, state, vcpus: guest.vcpus, memoryBytes: guest.memoryBytes });
  }

  async startDaemon(): Promise<void> {
    // The monotonic clock of a process begins with it.
    const bornMs = this.clock.monotonicMs();
    const clock: Clock = {
      now: () => this.clock.now(),
      monotonicMs: () => this.clock.monotonicMs() - bornMs,
      sleep: (ms, signal) => this.clock.sleep(ms, signal),
    };
    const calendar = createCalendar({ db: this.#db, clock, log: silentLogger });
    await calendar.load();
    const stop = new AbortController();
    void calendar.run(stop.signal);
    const bootClock = async () => ({ id: this.boot.id, ms: this.clock.monotonicMs() - this.boot.sinceMs });
    const accounting = createAccounting({
      store: createAccountingStore(this.#db),
      time: createAccountingClock({ clock, calendar, bootClock }),
      vm: (id) => {
        const guest = this.guests.get(id);
        return guest ? this.#view(guest) : null;
      },
      vms: () => [...this.guests.values()].map((guest) => this.#view(guest)),
      isCurrent: () => this.isLibvirtThere,
      runs: async () =>
        new Map(
          [...this.guests.values()]
            .filter(({ isOn }) => isOn)
            .map(({ id, startedMs }) => [id, startedMs - this.boot.sinceMs]),
        ),
      defaultProject: 'default',
    });
    await accounting.load([...this.guests.values()].flatMap((guest) => this.#holdings(guest)));
    this.#daemon = { accounting, stop };
    await accounting.tick();
  }

  /** kill -9: nothing is written any more. */
  killDaemon(): void {
    this.#daemon?.stop.abort();
    this.#daemon = null;
  }

  async stopDaemon(): Promise<void> {
    await this.#daemon?.accounting.tick();
    this.killDaemon();
  }

  put(guest: Guest): void {
    this.guests.set(guest.id, guest);
    this.tell(guest.id);
  }

  change(id: string, change: Partial<Guest>): void {
    const guest = this.guests.get(id);
    assert.ok(guest);
    if (change.isOn === true && !guest.isOn) guest.startedMs = this.clock.monotonicMs();
    Object.assign(guest, change);
    this.tell(id);
  }

  tell(id: string): void {
    const guest = this.guests.get(id);
    if (guest) this.#daemon?.accounting.charged(this.#holdings(guest));
    this.#daemon?.accounting.vmChanged(id);
  }

  stepClock(ms: number): void {
    this.clock.jumpWall(ms);
    this.#wrongByMs += ms;
  }

  /** Lets time pass, with ticks. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; ) {
      const step = Math.min(left, this.tickMs);
      await this.clock.advance(step);
      left -= step;
      for (const guest of this.guests.values()) {
        const month = monthOf(this.clock.now().getTime() - this.#wrongByMs - 1);
        const key = `${month} ${guest.project} ${guest.owner ?? ''}`;
        const before = this.truth.get(key) ?? { vcpuHours: 0, memoryGibHours: 0, diskGibHours: 0, backupGibHours: 0 };
        const hours = step / HOUR;
        this.truth.set(key, {
          vcpuHours: before.vcpuHours + (guest.isOn ? guest.vcpus * hours : 0),
          memoryGibHours: before.memoryGibHours + (guest.isOn ? (guest.memoryBytes / GIB) * hours : 0),
          diskGibHours: before.diskGibHours + (guest.diskBytes / GIB) * hours,
          backupGibHours: before.backupGibHours + (guest.backupBytes / GIB) * hours,
        });
      }
      await this.#daemon?.accounting.tick();
    }
  }

  async counted(): Promise<Map<string, Amounts>> {
    const counted = new Map<string, Amounts>();
    for (const project of ['default', 'p', 'q'])
      for (const { month, owner, ...amounts } of await createAccountingStore(this.#db).usage(project, '', '9'))
        counted.set(`${month} ${project} ${owner ?? ''}`, amounts);
    return counted;
  }
}

async function withWorld(start: string, work: (world: World) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-accounting-'));
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('calendar', calendarMigrations);
  db.migrate('accounting', accountingMigrations);
  const world = new World(db, start);
  try {
    await work(world);
  } finally {
    world.killDaemon();
    await db.close();
    await rm(dir, { recursive: true });
  }
}

const guest = (id: string, more: Partial<Guest> = {}): Guest => ({
  id,
  project: 'p',
  owner: 'ada',
  isOn: false,
  vcpus: 2,
  memoryBytes: 4 * GIB,
  diskBytes: 20 * GIB,
  backupBytes: 0,
  startedMs: 0,
  ...more,
});

const FIELDS = ['vcpuHours', 'memoryGibHours', 'diskGibHours', 'backupGibHours'] as const;

function near(counted: Amounts | undefined, expected: Partial<Amounts>, tolerance: number): void {
  for (const field of FIELDS)
    if (expected[field] !== undefined)
      assert.ok(
        Math.abs((counted?.[field] ?? 0) - expected[field]) <= tolerance * Math.max(1, expected[field]),
        `${field}: counted ${counted?.[field]}, true ${expected[field]}`,
      );
}

test('a simulated month with resizes, kills, downtimes, a reboot and steps of the clock equals the truth within 0.1 %', () =>
  withWorld('2026-10-31T22:00:00Z', async (world) => {
    world.tickMs = process.env['HV_TEST_FULL'] === '1' ? MINUTE : 4 * MINUTE;
    let seed = 20_261_101;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return (seed >>> 8) % below;
    };
    const counts = { kills: 0, resizes: 0, powers: 0, steps: 0, libvirt: 0 };
    world.put(guest('web', { isOn: true }));
    world.put(guest('db', { isOn: true, vcpus: 8, memoryBytes: 16 * GIB, diskBytes: 200 * GIB }));
    world.put(guest('test', { owner: 'bob', diskBytes: 5 * GIB }));
    world.put(guest('other', { project: 'q', owner: 'cyd', isOn: true, backupBytes: 50 * GIB }));
    await world.startDaemon();
    const end = Date.UTC(2026, 11, 1, 2) - Date.UTC(2026, 9, 31, 22);
    const todo: [number, () => Promise<void> | void][] = [
      [9 * DAY, () => world.stepClock(2 * HOUR)],
      [11 * DAY, () => world.stepClock(-2 * HOUR)],
      [14 * DAY, () => world.stepClock(40 * DAY)],
      [14.25 * DAY, () => world.stepClock(-40 * DAY)],
      [
        20 * DAY,
        async () => {
          // The host is switched off for three hours: guests and daemon with it, disks stay.
          for (const { id, isOn } of world.guests.values()) if (isOn) world.change(id, { isOn: false });
          world.killDaemon();
          await world.pass(3 * HOUR);
          world.boot = { id: 'boot-2', sinceMs: world.clock.monotonicMs() };
          await world.startDaemon();
          for (const id of ['web', 'db']) world.change(id, { isOn: true });
        },
      ],
    ];
    while (world.clock.monotonicMs() < end) {
      await world.pass(1000 + random(3 * HOUR));
      while (todo[0] && world.clock.monotonicMs() >= todo[0][0]) {
        counts.steps += 1;
        await todo.shift()?.[1]();
      }
      const id = ['web', 'db', 'test', 'other'][random(4)] ?? 'web';
      switch (random(5)) {
        case 0:
          counts.kills += 1;
          world.killDaemon();
          await world.pass(1000 + random(40 * MINUTE));
          await world.startDaemon();
          break;
        case 1:
          counts.libvirt += 1;
          world.isLibvirtThere = false;
          world.tell(id);
          await world.pass(1000 + random(10 * MINUTE));
          world.isLibvirtThere = true;
          break;
        case 2:
          counts.powers += 1;
          world.change(id, { isOn: world.guests.get(id)?.isOn !== true });
          break;
        default:
          counts.resizes += 1;
          world.change(id, {
            vcpus: 1 + random(8),
            memoryBytes: (1 + random(32)) * 512 * MIB,
            diskBytes: (1 + random(300)) * GIB,
            backupBytes: random(100) * GIB,
          });
      }
    }
    await world.stopDaemon();
    const counted = await world.counted();
    let worst = 0;
    for (const [key, truth] of world.truth) {
      // The two hours at each end are there to be kept out of the month.
      if (!key.startsWith('2026-11')) continue;
      for (const field of FIELDS) {
        if (truth[field] === 0) continue;
        const error = Math.abs((counted.get(key)?.[field] ?? 0) - truth[field]) / truth[field];
        worst = Math.max(worst, error);
        assert.ok(error < 0.001, `${key} ${field}: counted ${counted.get(key)?.[field]}, true ${truth[field]}`);
      }
    }
    assert.deepEqual(
      [...counted.keys()].map((key) => key.slice(0, 7)).filter((month) => month > '2026-12'),
      [],
    );
    assert.ok(counts.kills > 20 && counts.resizes > 50 && counts.steps === 5, JSON.stringify(counts));
    const total = [...counted].filter(([key]) => key.startsWith('2026-11')).reduce((s, [, a]) => s + a.vcpuHours, 0);
    console.log(
      `# count: a month of ${total.toFixed(0)} vCPU-hours with ${counts.kills} kills, ${counts.libvirt} absences of libvirt, ${counts.resizes} resizes, ${counts.powers} starts and stops, 4 steps of the clock (2 h and 40 days, there and back), 1 reboot: worst error ${(worst * 100).toFixed(4)} %`,
    );
  }));

test('a guest that stayed the same run is charged for the time without the daemon; one that was stopped is not', () =>
  withWorld('2026-11-10T00:00:00Z', async (world) => {
    world.put(guest('stays', { isOn: true, owner: 'ada' }));
    world.put(guest('stops', { isOn: true, owner: 'bob' }));
    world.put(guest('again', { isOn: true, owner: 'cyd' }));
    await world.startDaemon();
    await world.pass(HOUR);
    world.killDaemon();
    await world.pass(30 * MINUTE);
    world.change('stops', { isOn: false });
    world.change('again', { isOn: false });
    world.change('again', { isOn: true });
    await world.pass(30 * MINUTE);
    await world.startDaemon();
    await world.pass(HOUR);
    await world.stopDaemon();
    const counted = await world.counted();
    near(counted.get('2026-11 p ada'), { vcpuHours: 6, memoryGibHours: 12, diskGibHours: 60 }, 1e-6);
    near(counted.get('2026-11 p bob'), { vcpuHours: 2, diskGibHours: 60 }, 1e-6);
    // Of the run that ended meanwhile nobody knows when; the new one counts from its start.
    near(counted.get('2026-11 p cyd'), { vcpuHours: 2 + 1 + 2, diskGibHours: 60 }, 1e-6);
  }));

test('a crash loses at most one tick of what changed since', () =>
  withWorld('2026-11-10T00:00:00Z', async (world) => {
    world.put(guest('a'));
    await world.startDaemon();
    await world.pass(10 * MINUTE);
    world.change('a', { isOn: true });
    await world.clock.advance(59_000);
    world.change('a', { vcpus: 4 });
    world.killDaemon();
    await world.startDaemon();
    await world.pass(HOUR);
    await world.stopDaemon();
    const vcpuHours = (await world.counted()).get('2026-11 p ada')?.vcpuHours ?? 0;
    assert.ok(Math.abs(vcpuHours - (4 + (2 * 59) / 3600)) <= (4 * 60) / 3600, String(vcpuHours));
  }));

test('hours go to the month in which they were, and to the project and user at that time', () =>
  withWorld('2026-11-30T22:00:00Z', async (world) => {
    world.put(guest('a', { isOn: true }));
    await world.startDaemon();
    await world.pass(2 * HOUR + 30_000);
    world.killDaemon();
    await world.startDaemon();
    await world.pass(HOUR - 30_000);
    world.put({ ...guest('a', { isOn: true }), project: 'q' });
    await world.pass(HOUR);
    world.put(guest('outside', { project: 'default', owner: null, isOn: true }));
    await world.pass(HOUR);
    await world.stopDaemon();
    const counted = await world.counted();
    near(counted.get('2026-11 p ada'), { vcpuHours: 4, diskGibHours: 40 }, 1e-6);
    near(counted.get('2026-12 p ada'), { vcpuHours: 2, diskGibHours: 20 }, 1e-6);
    near(counted.get('2026-12 q ada'), { vcpuHours: 4, diskGibHours: 40 }, 1e-6);
    near(counted.get('2026-12 default '), { vcpuHours: 2, diskGibHours: 20 }, 1e-6);
  }));
