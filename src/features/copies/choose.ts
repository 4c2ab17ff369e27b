/** Which restore points belong in a copy: those of its repository, and what its own retention keeps of them and of what is there. */

import { type CandidatePoint, decideRetention } from '#features/protection/index.ts';
import type { CopiedPoint, Copy } from './copy-store.ts';

export interface SourcePoint {
  readonly id: string;
  readonly vmId: string;
  /** In the order of their making. */
  readonly seq: number;
  readonly pointInTime: string;
  readonly isGood: boolean;
}

export interface CopyChoice {
  /** Ids of points that are to be copied. */
  readonly missing: readonly string[];
  /** Ids of points that are there and need not stay. */
  readonly leaving: readonly string[];
}

/** @param isProtected somebody said that a restore point stays */
export function chooseForCopy(options: {
  readonly copy: Pick<Copy, 'retention' | 'timeZone'>;
  readonly source: readonly SourcePoint[];
  readonly there: readonly CopiedPoint[];
  readonly isProtected: (pointId: string) => boolean;
  readonly nowMs: number;
}): CopyChoice {
  const { copy, source, there, isProtected, nowMs } = options;
  const isThere = new Set(there.map(({ point_id }) => point_id));
  const missing = source.filter(({ id, isGood }) => isGood && !isThere.has(id));
  if (copy.retention === null) return { missing: missing.map(({ id }) => id), leaving: [] };
  const byVm = new Map<string, CandidatePoint[]>();
  const add = (vmId: string, id: string, seq: number, at: string, isGood: boolean) => {
    const candidate: CandidatePoint = {
      id,
      seq,
      atMs: Date.parse(at),
      isGood,
      hasPassed: false,
      isProtected: isProtected(id),
      isInUse: false,
      isCopyMissing: false,
    };
    const group = byVm.get(vmId);
    if (group) group.push(candidate);
    else byVm.set(vmId, [candidate]);
  };
  for (const { id, vmId, seq, pointInTime, isGood } of missing) add(vmId, id, seq, pointInTime, isGood);
  for (const { point_id, vm_id, seq, point_in_time, is_good } of there)
    add(vm_id, point_id, seq, point_in_time, is_good === 1);
  const stays = new Set<string>();
  for (const points of byVm.values())
    for (const { id, reasons } of decideRetention(points, copy.retention, { timeZone: copy.timeZone, nowMs }))
      if (reasons.length > 0) stays.add(id);
  return {
    missing: missing.flatMap(({ id }) => (stays.has(id) ? [id] : [])),
    leaving: there.flatMap(({ point_id }) => (stays.has(point_id) ? [] : [point_id])),
  };
}
