/** Which restore points of one VM are kept. The preview and the prune ask the same function. */

import { isoWeekOf, zonedTime } from './zoned-time.ts';

/** How many periods that have a point keep their newest one. All zero keeps everything. */
export interface RetentionPolicy {
  /** The newest points, whenever they were made. */
  readonly last: number;
  readonly hourly: number;
  readonly daily: number;
  /** ISO weeks. */
  readonly weekly: number;
  readonly monthly: number;
  readonly yearly: number;
}

export interface CandidatePoint {
  readonly id: string;
  /** In the order of their making: which one is newer is never told by a clock that may have been wrong. */
  readonly seq: number;
  /** The moment that it restores, in milliseconds since the epoch. */
  readonly atMs: number;
  /** Complete, and nothing of it is known to be damaged. */
  readonly isGood: boolean;
  /** Booted in a proof. */
  readonly hasPassed: boolean;
  /** Somebody said that it stays. */
  readonly isProtected: boolean;
  /** Exported, running as a VM, or being read. */
  readonly isInUse: boolean;
  /** A second copy is asked for and has not been made. */
  readonly isCopyMissing: boolean;
}

export type KeepReason =
  | 'everything'
  | 'last'
  | 'hourly'
  | 'daily'
  | 'weekly'
  | 'monthly'
  | 'yearly'
  | 'newest_good'
  | 'newest_passed'
  | 'protected'
  | 'in_use'
  | 'not_copied';

export interface KeepDecision {
  readonly id: string;
  /** Empty: it goes. */
  readonly reasons: readonly KeepReason[];
}

/** A second copy that never comes must not fill the repository; by then the missing copy has alerted for days. */
const LONGEST_WAIT_FOR_COPY_MS = 14 * 86_400_000;

const PERIODS = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

/** @param timeZone IANA name in which days begin
 *  @returns a decision for each point, newest first */
export function decideRetention(
  points: readonly CandidatePoint[],
  policy: RetentionPolicy,
  { timeZone, nowMs }: { readonly timeZone: string; readonly nowMs: number },
): readonly KeepDecision[] {
  const newestFirst = points.toSorted((a, b) => b.seq - a.seq);
  const good = newestFirst.filter(({ isGood }) => isGood);
  const reasons = new Map<string, KeepReason[]>(newestFirst.map(({ id }) => [id, []]));
  const keep = (point: CandidatePoint | undefined, reason: KeepReason) => {
    if (point) reasons.get(point.id)?.push(reason);
  };

  const isEverythingKept = policy.last === 0 && PERIODS.every((period) => policy[period] === 0);
  if (isEverythingKept) for (const point of newestFirst) keep(point, 'everything');
  for (const point of good.slice(0, policy.last)) keep(point, 'last');
  for (const period of PERIODS)
    for (const point of newestOfPeriods(good, policy[period], (atMs) => periodOf(period, atMs, timeZone)))
      keep(point, period);

  // Whatever the policy says: what is needed most when something went wrong.
  keep(good[0], 'newest_good');
  keep(
    good.find(({ hasPassed }) => hasPassed),
    'newest_passed',
  );
  for (const point of newestFirst) {
    if (point.isProtected) keep(point, 'protected');
    if (point.isInUse) keep(point, 'in_use');
    if (point.isCopyMissing && point.isGood && nowMs - point.atMs < LONGEST_WAIT_FOR_COPY_MS) keep(point, 'not_copied');
  }
  return newestFirst.map(({ id }) => ({ id, reasons: reasons.get(id) ?? [] }));
}

/** @param newestFirst in this order */
function newestOfPeriods(
  newestFirst: readonly CandidatePoint[],
  count: number,
  keyOf: (atMs: number) => string,
): readonly CandidatePoint[] {
  const seen = new Set<string>();
  const kept: CandidatePoint[] = [];
  for (const point of newestFirst) {
    if (kept.length >= count) break;
    const key = keyOf(point.atMs);
    if (seen.has(key)) continue;
    seen.add(key);
    kept.push(point);
  }
  return kept;
}

function periodOf(period: (typeof PERIODS)[number], atMs: number, timeZone: string): string {
  const time = zonedTime(atMs, timeZone);
  const day = `${time.year}-${time.month}-${time.day}`;
  switch (period) {
    case 'hourly':
      // The hour that comes twice when clocks go back is two hours, so the offset belongs to it.
      return `${day} ${time.hour} ${time.offsetMs}`;
    case 'daily':
      return day;
    case 'weekly':
      return isoWeekOf(time);
    case 'monthly':
      return `${time.year}-${time.month}`;
    case 'yearly':
      return String(time.year);
  }
}
