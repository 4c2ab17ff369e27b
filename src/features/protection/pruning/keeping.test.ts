import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeVm } from '#contract/fake-vm.ts';
import type { KnownPoint } from '#features/backups/index.ts';
import { runCalendar } from '../run-calendar.ts';
import type { Schedule } from '../schedules/schedule-store.ts';
import { choosePoints, type KeepWorld } from './keeping.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const DAY_MS = 86_400_000;
const NONE = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
const web = fakeVm('web1', { tags: ['web'] });

const schedule = (parts: Partial<Schedule>): Schedule => ({
  id: 'sched-1',
  name: 'nightly',
  isEnabled: true,
  calendar: '0 2 * * *',
  timeZone: 'UTC',
  targets: { kind: 'all', except: [] },
  repository: null,
  retention: { ...NONE, last: 1 },
  proof: 'never',
  priority: 5,
  jitterMinutes: 0,
  scrubDays: null,
  catchUp: true,
  windowHours: null,
  nextMs: null,
  createdAt: '2026-01-01T00:00:00.000Z',
  runs: runCalendar('0 2 * * *', 'UTC'),
  ...parts,
});

const point = (daysAgo: number, parts: Partial<KnownPoint> = {}): KnownPoint => ({
  id: `p${daysAgo}`,
  operationId: `op-${daysAgo}`,
  repositoryId: 'repo-1',
  vmId: web.id,
  seq: 1000 - daysAgo,
  vmName: web.name,
  project: 'default',
  newBytes: 1,
  storedBytes: 1,
  pointInTime: new Date(NOW - daysAgo * DAY_MS).toISOString(),
  isGood: true,
  consistency: 'agent',
  disksLeftOut: [],
  ...parts,
});

const world = (parts: Partial<KeepWorld> = {}): KeepWorld => ({
  points: [0, 1, 2, 3].map((days) => point(days)),
  schedules: [schedule({})],
  vms: [web],
  defaultRepositoryId: 'repo-1',
  protectedPoints: new Set(),
  pointsInUse: new Set(),
  passedPoints: new Set(),
  nowMs: NOW,
  ...parts,
});
const kept = (parts: Partial<KeepWorld> = {}) =>
  choosePoints(world(parts)).flatMap(({ point: { id }, reasons }) => (reasons.length > 0 ? [id] : []));

test('a schedule keeps what it says, and what is protected or proven stays beside it', () => {
  assert.deepEqual(kept(), ['p0']);
  assert.deepEqual(kept({ protectedPoints: new Set(['p3']), passedPoints: new Set(['p2']) }), ['p0', 'p2', 'p3']);
});

test('that somebody protected it is told also of what stays anyway', () => {
  const [first] = choosePoints(world({ schedules: [], protectedPoints: new Set(['p0']) }));
  assert.deepEqual(first?.reasons, ['no_schedule', 'protected']);
  const [gone] = choosePoints(world({ vms: [], protectedPoints: new Set(['p0']) }));
  assert.deepEqual(gone?.reasons, ['vm_is_gone', 'protected']);
});

test('of several schedules what any keeps stays', () => {
  const weekly = schedule({ id: 'sched-2', retention: { ...NONE, last: 3 } });
  assert.deepEqual(kept({ schedules: [schedule({}), weekly] }), ['p0', 'p1', 'p2']);
});

test('nothing goes because a schedule was deleted, switched off, or means another repository or other VMs', () => {
  const all = ['p0', 'p1', 'p2', 'p3'];
  assert.deepEqual(kept({ schedules: [] }), all);
  assert.deepEqual(kept({ schedules: [schedule({ isEnabled: false })] }), all);
  assert.deepEqual(kept({ schedules: [schedule({ repository: 'repo-2' })] }), all);
  assert.deepEqual(kept({ schedules: [schedule({ targets: { kind: 'tags', tags: ['db'], except: [] } })] }), all);
  assert.deepEqual(kept({ schedules: [schedule({ targets: { kind: 'all', except: [web.id] } })] }), all);
});

test('one that is switched off still keeps what it kept', () => {
  const off = schedule({ id: 'sched-2', isEnabled: false, retention: { ...NONE, last: 4 } });
  assert.deepEqual(kept({ schedules: [schedule({}), off] }), ['p0', 'p1', 'p2', 'p3']);
});

test('restore points of a VM that is gone stay', () => {
  const choices = choosePoints(world({ vms: [] }));
  assert.equal(choices.length, 4);
  for (const { reasons } of choices) assert.deepEqual(reasons, ['vm_is_gone']);
});

test('repositories are counted apart', () => {
  const elsewhere = [5, 6].map((days) => point(days, { repositoryId: 'repo-2' }));
  const both = [schedule({}), schedule({ id: 'sched-2', repository: 'repo-2' })];
  assert.deepEqual(kept({ points: [point(0), point(1), ...elsewhere], schedules: both }), ['p0', 'p5']);
});
