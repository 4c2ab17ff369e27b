/** What a project used, as people and spreadsheets read it. */

import type { MonthUsage, ProjectUsage, UsageAmounts } from '#contract/quotas.ts';
import { csvCell } from '#kernel/csv.ts';
import { type Amounts, type Bucket, monthOf } from './meter.ts';

/** Prices of one hour, in the currency. */
export interface PriceList {
  readonly currency: string;
  readonly vcpuHour: number;
  readonly memoryGibHour: number;
  readonly diskGibHour: number;
  readonly backupGibHour: number;
}

/** Without a month: this one and the eleven before it. */
export function monthsAsked(month: string | undefined, now: Date): { readonly from: string; readonly to: string } {
  if (month !== undefined) return { from: month, to: month };
  const from = monthOf(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 11, 1));
  return { from, to: monthOf(now.getTime()) };
}

/** @param buckets newest month first
 *  @param nameOf what the owner is called now */
export function usageReport(
  project: { readonly id: string; readonly name: string },
  buckets: readonly Bucket[],
  { prices, now, nameOf }: { readonly prices: PriceList | null; readonly now: Date; nameOf(owner: string): string },
): ProjectUsage {
  const months = [...new Set(buckets.map(({ month }) => month))].map((month): MonthUsage => {
    const users = buckets
      .filter((bucket) => bucket.month === month)
      .map(({ owner, ...amounts }) => ({
        user: owner === null ? null : nameOf(owner),
        ...withCost(amounts, prices),
      }));
    return { month, isRunning: month === monthOf(now.getTime()), total: sum(users, prices), users };
  });
  return { projectId: project.id, project: project.name, currency: prices?.currency ?? null, months };
}

function withCost(amounts: Amounts, prices: PriceList | null): UsageAmounts {
  const { vcpuHours, memoryGibHours, diskGibHours, backupGibHours } = amounts;
  const cost =
    prices === null
      ? null
      : vcpuHours * prices.vcpuHour +
        memoryGibHours * prices.memoryGibHour +
        diskGibHours * prices.diskGibHour +
        backupGibHours * prices.backupGibHour;
  return { vcpuHours, memoryGibHours, diskGibHours, backupGibHours, cost };
}

function sum(users: readonly Amounts[], prices: PriceList | null): UsageAmounts {
  const total = (field: keyof Amounts) => users.reduce((all, user) => all + user[field], 0);
  return withCost(
    {
      vcpuHours: total('vcpuHours'),
      memoryGibHours: total('memoryGibHours'),
      diskGibHours: total('diskGibHours'),
      backupGibHours: total('backupGibHours'),
    },
    prices,
  );
}

const COLUMNS = [
  'project',
  'month',
  'user',
  'vcpu_hours',
  'memory_gib_hours',
  'disk_gib_hours',
  'backup_gib_hours',
  'cost',
  'currency',
];

/** RFC 4180, one line for each month and user. */
export function usageCsv({ project, currency, months }: ProjectUsage): string {
  const lines = [COLUMNS.map(csvCell)];
  for (const { month, users } of months)
    for (const user of users)
      lines.push(
        [
          project,
          month,
          user.user ?? '',
          user.vcpuHours.toFixed(3),
          user.memoryGibHours.toFixed(3),
          user.diskGibHours.toFixed(3),
          user.backupGibHours.toFixed(3),
          user.cost?.toFixed(4) ?? '',
          currency ?? '',
        ].map(csvCell),
      );
  return `${lines.map((fields) => fields.join(',')).join('\r\n')}\r\n`;
}
