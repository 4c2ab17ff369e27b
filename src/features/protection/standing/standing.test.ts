import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import type { KnownPoint } from '#features/backups/index.ts';
import { TestClock } from '#kernel/clock.ts';
import type { LastRunRow } from '../migrations.ts';
import type { ProofFact } from '../proofs.ts';
import { runCalendar } from '../run-calendar.ts';
import type { Schedule } from '../schedules/schedule-store.ts';
import { createStanding } from './standing.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const HOUR_MS = 3_600_000;
const web = fakeVm('web1');

const nightly: Schedule = {
  id: 'sched-1',
  name: 'nightly',
  isEnabled: true,
  calendar: '0 2 * * *',
  timeZone: 'UTC',
  targets: { kind: 'all', except: [] },
  repository: null,
  retention: { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 },
  proof: 'never',
  priority: 5,
  jitterMinutes: 0,
  scrubDays: null,
  catchUp: true,
  windowHours: null,
  nextMs: NOW + 14 * HOUR_MS,
  createdAt: '2026-01-01T00:00:00.000Z',
  runs: runCalendar('0 2 * * *', 'UTC'),
};
const at = (hoursAgo: number) => new Date(NOW - hoursAgo * HOUR_MS).toISOString();
const point = (hoursAgo: number, parts: Partial<KnownPoint> = {}): KnownPoint => ({
  id: `p${hoursAgo}`,
  operationId: `op-${hoursAgo}`,
  repositoryId: 'repo-1',
  vmId: web.id,
  seq: 1000 - hoursAgo,
  vmName: web.name,
  project: 'default',
  newBytes: 1,
  storedBytes: 100,
  pointInTime: at(hoursAgo),
  isGood: true,
  consistency: 'agent',
  disksLeftOut: [],
  ...parts,
});
const passed: ProofFact = { pointId: 'p10', atMs: NOW - 30 * HOUR_MS, verdict: 'pass', level: 4, recoverySeconds: 14 };
const lastRun = (parts: Partial<LastRunRow> = {}): LastRunRow => ({
  vm_id: web.id,
  at: at(10),
  state: 'succeeded',
  detail: null,
  operation_id: 'op-10',
  ...parts,
});

interface World {
  readonly schedules?: readonly Schedule[];
  readonly points?: readonly KnownPoint[];
  readonly run?: LastRunRow | null;
  readonly proof?: ProofFact | null;
  readonly readHoursAgo?: number | null;
  readonly vms?: readonly (typeof web)[];
  readonly hasLeapt?: boolean;
  readonly accepted?: readonly string[];
}

const standingOf = (world: World = {}) =>
  createStanding({
    clock: new TestClock(new Date(NOW)),
    calendar: { leap: () => (world.hasLeapt ? { byMs: 1, untilMs: 1 } : null) },
    secondCopy: () => null,
    acceptedDisks: () => new Set(world.accepted ?? []),
    lastRuns: { of: () => (world.run === undefined ? lastRun() : world.run) },
    proofs: {
      latest(vmId) {
        const proof = world.proof === undefined && vmId === web.id ? passed : (world.proof ?? null);
        return { proof, passed: proof?.verdict === 'pass' ? proof : null };
      },
    },
    schedules: () => world.schedules ?? [nightly],
    vms: () => world.vms ?? [web],
    points: () => world.points ?? [point(10), point(34)],
    repositories: () => {
      const hours = world.readHoursAgo === undefined ? 5 : world.readHoursAgo;
      return [
        { id: 'repo-1', name: 'shelf', isDefault: true, readAtMs: hours === null ? null : NOW - hours * HOUR_MS },
      ];
    },
  });
const stand = (world: World = {}) => {
  const row = standingOf(world).of(web.id);
  assert.ok(row);
  return row;
};

test('a VM with a schedule, a young point, a good run and a proof is protected, with its recovery point and time', () => {
  const row = stand();
  assert.deepEqual([row.posture, row.reasons, row.next], ['protected', [], null]);
  assert.deepEqual([row.newestAt, row.bootSeconds, row.points, row.storedBytes], [at(10), 14, 2, 200]);
});

const CASES: readonly (readonly [string, World, string, RegExp, string])[] = [
  ['no schedule', { schedules: [] }, 'unprotected', /^No schedule backs it up\.$/, 'hv backup schedule create nightly'],
  [
    'a schedule that is off',
    { schedules: [{ ...nightly, isEnabled: false }] },
    'unprotected',
    /^No schedule/,
    'hv backup schedule create nightly',
  ],
  ['no point', { points: [] }, 'unprotected', /its schedule runs in 14 h\.$/, 'hv backup run web1'],
  [
    'only damaged points',
    { points: [point(1, { isGood: false })] },
    'unprotected',
    /no restore point that is whole/,
    'hv backup run web1',
  ],
  [
    'a point too old',
    { points: [point(40)] },
    'attention',
    /is 1 d old, and one is expected every 1 d\.$/,
    'hv backup run web1',
  ],
  [
    'a failed run',
    { run: lastRun({ state: 'failed', detail: 'The disk is gone.' }) },
    'attention',
    /failed: The disk is gone\.$/,
    'hv op show op-10',
  ],
  ['no proof', { proof: null }, 'attention', /ever proven/, 'hv verify run web1'],
  [
    'a failed proof',
    { proof: { ...passed, verdict: 'fail' } },
    'attention',
    /last proof failed/,
    'hv verify list --vm web1',
  ],
  [
    'an old proof',
    { proof: { ...passed, atMs: NOW - 220 * HOUR_MS } },
    'attention',
    /last proven restorable 9 d ago/,
    'hv verify run web1',
  ],
  ['an unread repository', { readHoursAgo: 60 }, 'unknown', /shelf was last read 2 d ago\.$/, 'hv repo scan shelf'],
  ['one never read', { readHoursAgo: null }, 'unknown', /shelf was never read\.$/, 'hv repo scan shelf'],
  [
    'a point of a wrong date, and none since',
    { points: [point(-9000)] },
    'unknown',
    /dated ahead of the clock/,
    'hv backup run web1',
  ],
  ['a leap of the date', { hasLeapt: true }, 'unknown', /date of this machine leapt/, 'timedatectl'],
  [
    'a disk in no point',
    { points: [point(10, { disksLeftOut: ['vdb'] })] },
    'attention',
    /holds its disk vdb\.$/,
    'hv backup show p10',
  ],
  [
    'no freeze though there is an agent',
    { points: [point(10, { consistency: 'crash' })], vms: [{ ...web, agent: 'connected' }] },
    'attention',
    /as after a power cut/,
    'hv backup show p10',
  ],
];
for (const [what, world, posture, text, command] of CASES)
  test(`${what} is ${posture}, said in a sentence with the one thing to do`, () => {
    const row = stand(world);
    assert.equal(row.posture, posture);
    assert.match(row.reasons[0]?.text ?? '', text);
    assert.equal(row.next?.command, command);
  });

test('the longest gap of a calendar counts: a point of Friday is young on Sunday when nothing runs on weekends', () => {
  const workdays = { ...nightly, runs: runCalendar('0 2 * * 1-5', 'UTC') };
  assert.equal(stand({ schedules: [workdays], points: [point(70)] }).posture, 'protected');
  assert.equal(stand({ schedules: [workdays, nightly], points: [point(70)] }).posture, 'attention');
});

test('points of VMs that are gone are listed and counted for nobody; the worst comes first', () => {
  const gone = point(5, { vmId: 'f'.repeat(36), vmName: 'old1' });
  const db = fakeVm('db1');
  const standing = standingOf({ points: [point(10), gone], vms: [web, db] });
  assert.deepEqual(
    standing.all().map(({ vmName, posture }) => [vmName, posture]),
    [
      ['db1', 'unprotected'],
      ['web1', 'protected'],
    ],
  );
  assert.deepEqual(
    standing.orphans().map(({ vmName, points, newestPointId }) => [vmName, points, newestPointId]),
    [['old1', 1, 'p5']],
  );
});

test('a disk that is left out asks for no attention once somebody said that it is right, and is told all the same', () => {
  const points = [point(10, { disksLeftOut: ['vdb', 'vdc'] })];
  const some = standingOf({ points, accepted: ['vdb', 'sda'] }).of(web.id);
  assert.deepEqual(
    [some?.posture, some?.reasons.map(({ text }) => text)],
    ['attention', ['No restore point holds its disk vdc.']],
  );
  assert.deepEqual([some?.disksLeftOut, some?.disksAccepted], [['vdb', 'vdc'], ['vdb']]);
  assert.equal(standingOf({ points, accepted: ['vdb', 'vdc'] }).of(web.id)?.posture, 'protected');
});

test('a point that is dated ahead does not stand for those that were made after it', () => {
  const row = standingOf({ points: [point(-9000), point(60)] }).of(web.id);
  assert.deepEqual([row?.posture, row?.newestPointId], ['attention', 'p60']);
});
