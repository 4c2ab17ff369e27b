/** Which points belong in a copy: those of its repository, and what retention keeps of them and of what is there. Restore points of VMs stay
 *  as the copy says, states of hosts as they do in repositories. */

import { type CandidatePoint, decideRetention, type RetentionPolicy } from '#features/protection/index.ts';
import type { CopiedPoint, Copy } from './copy-store.ts';

export interface SourcePoint {
  readonly id: string;
  readonly kind: CopiedPoint['kind'];
  /** Of a state the id of its series. */
  readonly vmId: string;
  /** In the order of their making. */
  readonly seq: number;
  readonly pointInTime: string;
  readonly isGood: boolean;
}

export interface CopyChoice {
  /** Points that are to be copied. */
  readonly missing: readonly SourcePoint[];
  /** Ids of points that are there and need not stay. */
  readonly leaving: readonly string[];
}

/** @param isProtected somebody said that a restore point stays */
export function chooseForCopy(options: {
  readonly copy: Pick<Copy, 'retention' | 'timeZone' | 'takesStates'>;
  readonly stateRetention: RetentionPolicy;
  readonly source: readonly SourcePoint[];
  readonly there: readonly CopiedPoint[];
  readonly isProtected: (pointId: string) => boolean;
  readonly nowMs: number;
}): CopyChoice {
  const { copy, stateRetention, there, isProtected, nowMs } = options;
  const isThere = new Set(there.map(({ point_id }) => point_id));
  const missing = options.source.filter(
    ({ id, kind, isGood }) => isGood && !isThere.has(id) && (kind === 'vm' || copy.takesStates),
  );
  const keeping = {
    vm: { policy: copy.retention, timeZone: copy.timeZone },
    state: { policy: stateRetention, timeZone: 'UTC' },
  };
  const known: readonly SourcePoint[] = [
    ...missing,
    ...there.map(({ point_id, kind, vm_id, seq, point_in_time, is_good }) => ({
      ...{ id: point_id, kind, vmId: vm_id, seq, pointInTime: point_in_time, isGood: is_good === 1 },
    })),
  ];
  const stays = new Set<string>();
  for (const points of Map.groupBy(known, ({ kind, vmId }) => `${kind} ${vmId}`).values()) {
    const { policy, timeZone } = keeping[points[0]?.kind ?? 'vm'];
    if (policy === null) for (const { id } of points) stays.add(id);
    else
      for (const { id, reasons } of decideRetention(points.map(candidateOf), policy, { timeZone, nowMs }))
        if (reasons.length > 0) stays.add(id);
  }
  return {
    missing: missing.filter(({ id }) => stays.has(id)),
    leaving: there.flatMap(({ point_id }) => (stays.has(point_id) ? [] : [point_id])),
  };

  function candidateOf({ id, seq, pointInTime, isGood }: SourcePoint): CandidatePoint {
    return {
      id,
      seq,
      atMs: Date.parse(pointInTime),
      isGood,
      hasPassed: false,
      isProtected: isProtected(id),
      isInUse: false,
      isCopyMissing: false,
    };
  }
}
