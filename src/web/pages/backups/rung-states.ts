/** What a proof shows of each rung of its ladder, from the level that it reached and why it ended. */

import type { Proof, ProofReason } from '#contract/verification.ts';

/** `skipped`: not needed for the verdict; `unread`: it ended before. */
export type RungState = 'reached' | 'failed' | 'missed' | 'skipped' | 'unread';

export const RUNGS = [0, 1, 2, 3, 4, 5] as const;

/** The rung on which each failure was seen. */
const FAILED_AT: Partial<Readonly<Record<ProofReason, number>>> = {
  manifest_damaged: 0,
  data_damaged: 1,
  structure_broken: 2,
  filesystem_damaged: 2,
  kernel_panic: 3,
  emergency_mode: 3,
  no_boot_device: 3,
  guest_stopped: 3,
  boot_stalled: 3,
  agent_silent: 4,
  wrong_guest: 4,
  probe_failed: 5,
};

export function rungStates({
  level,
  requiredLevel,
  reason,
  verdict,
}: Pick<Proof, 'level' | 'requiredLevel' | 'reason' | 'verdict'>): readonly RungState[] {
  const reached = level ?? -1;
  const failedAt = FAILED_AT[reason] ?? null;
  return RUNGS.map((rung) => {
    if (failedAt === rung) return 'failed';
    if (rung <= reached) return 'reached';
    if (requiredLevel !== null && rung > requiredLevel) return 'skipped';
    if (verdict === 'pass') return 'skipped';
    return rung === reached + 1 && failedAt === null ? 'missed' : 'unread';
  });
}
