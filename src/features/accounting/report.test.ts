import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Bucket } from './meter.ts';
import { monthsAsked, usageCsv, usageReport } from './report.ts';

const bucket = (month: string, owner: string | null, vcpuHours: number): Bucket => ({
  month,
  project: 'p',
  owner,
  vcpuHours,
  memoryGibHours: 2 * vcpuHours,
  diskGibHours: 10,
  backupGibHours: 0,
});
const now = new Date('2026-11-25T12:00:00Z');
const project = { id: 'p', name: 'shop' };

test('a year of months ends with this one', () => {
  assert.deepEqual(monthsAsked(undefined, now), { from: '2025-12', to: '2026-11' });
  assert.deepEqual(monthsAsked('2026-02', now), { from: '2026-02', to: '2026-02' });
});

test('users add up to the month, and prices to its cost', () => {
  const buckets = [bucket('2026-11', null, 1), bucket('2026-11', 'u-1', 4), bucket('2026-10', 'u-1', 7)];
  const prices = { currency: 'EUR', vcpuHour: 0.01, memoryGibHour: 0, diskGibHour: 0.001, backupGibHour: 0 };
  const report = usageReport(project, buckets, { prices, now, nameOf: (id) => `name of ${id}` });
  assert.deepEqual(
    report.months.map(({ month, isRunning }) => [month, isRunning]),
    [
      ['2026-11', true],
      ['2026-10', false],
    ],
  );
  const [november] = report.months;
  assert.deepEqual(
    november?.users.map(({ user, vcpuHours }) => [user, vcpuHours]),
    [
      [null, 1],
      ['name of u-1', 4],
    ],
  );
  assert.equal(november?.total.memoryGibHours, 10);
  assert.ok(Math.abs((november?.total.cost ?? 0) - (5 * 0.01 + 20 * 0.001)) < 1e-12);
  const free = usageReport(project, buckets, { prices: null, now, nameOf: String });
  assert.deepEqual([free.currency, free.months[0]?.total.cost], [null, null]);
});

test('C8: no field of the CSV can be taken for a formula', () => {
  const report = usageReport(project, [bucket('2026-11', '=cmd()', 1.5)], { prices: null, now, nameOf: String });
  assert.equal(
    usageCsv(report),
    [
      'project,month,user,vcpu_hours,memory_gib_hours,disk_gib_hours,backup_gib_hours,cost,currency',
      'shop,2026-11,"\'=cmd()",1.500,3.000,10.000,0.000,,',
      '',
    ].join('\r\n'),
  );
});
