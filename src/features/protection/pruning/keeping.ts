/** Which restore points the retention of schedules keeps. Pure: the preview and the prune ask the same function. What no schedule that runs
 *  says anything of stays: nothing goes because a schedule was deleted, switched off, or its VM is gone. */

import type { Vm } from '#contract/vms.ts';
import type { KnownPoint } from '#features/backups/index.ts';
import { decideRetention, type KeepReason } from '../retention.ts';
import { coverageOf } from '../schedules/coverage.ts';
import type { Schedule } from '../schedules/schedule-store.ts';

export type StayReason = KeepReason | 'no_schedule' | 'vm_is_gone';

export interface KeepChoice {
  readonly point: KnownPoint;
  /** Empty: it goes. */
  readonly reasons: readonly StayReason[];
}

export interface KeepWorld {
  readonly points: readonly KnownPoint[];
  readonly schedules: readonly Schedule[];
  readonly vms: readonly Vm[];
  readonly defaultRepositoryId: string | null;
  readonly protectedPoints: ReadonlySet<string>;
  /** VMs run from them at this moment. */
  readonly pointsInUse: ReadonlySet<string>;
  readonly passedPoints: ReadonlySet<string>;
  readonly nowMs: number;
}

/** Of each VM in each repository the newest first. */
export function choosePoints(world: KeepWorld): readonly KeepChoice[] {
  const { points, vms, nowMs } = world;
  const there = new Map(vms.map((vm) => [vm.id, vm]));
  const groups = Map.groupBy(points, ({ vmId, repositoryId }) => `${repositoryId} ${vmId}`);
  return [...groups.values()].flatMap((group) => {
    const first = group[0];
    const vm = first === undefined ? undefined : there.get(first.vmId);
    const allStay = (reason: StayReason) => newestFirst(group).map((point) => stays(world, point, reason));
    if (first === undefined || vm === undefined) return allStay('vm_is_gone');
    const policies = policiesOf(world, vm, first.repositoryId);
    if (policies.length === 0) return allStay('no_schedule');
    const candidates = group.map((point) => ({
      id: point.id,
      seq: point.seq,
      atMs: Date.parse(point.pointInTime),
      isGood: point.isGood,
      hasPassed: world.passedPoints.has(point.id),
      isProtected: world.protectedPoints.has(point.id),
      // What is only read for a while the repository itself keeps.
      isInUse: world.pointsInUse.has(point.id),
      isCopyMissing: false,
    }));
    const reasons = new Map<string, Set<StayReason>>();
    for (const { retention, timeZone } of policies)
      for (const decision of decideRetention(candidates, retention, { timeZone, nowMs })) {
        const known = reasons.get(decision.id) ?? new Set();
        for (const reason of decision.reasons) known.add(reason);
        reasons.set(decision.id, known);
      }
    return newestFirst(group).map((point) => ({ point, reasons: [...(reasons.get(point.id) ?? [])] }));
  });
}

/** What somebody protected is told as such even when it stays anyway. */
const stays = ({ protectedPoints }: KeepWorld, point: KnownPoint, reason: StayReason): KeepChoice => ({
  point,
  reasons: protectedPoints.has(point.id) ? [reason, 'protected'] : [reason],
});

const newestFirst = (points: readonly KnownPoint[]) => points.toSorted((a, b) => b.seq - a.seq);

/** A schedule that is switched off keeps what it kept, and lets nothing go by itself. */
function policiesOf({ schedules, defaultRepositoryId }: KeepWorld, vm: Vm, repositoryId: string): readonly Schedule[] {
  const covering = schedules.filter(
    ({ targets, repository }) =>
      (repository ?? defaultRepositoryId) === repositoryId && coverageOf(targets, [vm]).covered.length > 0,
  );
  return covering.some(({ isEnabled }) => isEnabled) ? covering : [];
}
