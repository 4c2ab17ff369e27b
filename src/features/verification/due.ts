/** Which VMs are to be proven now. A plan without anything to prove is itself a finding: it is told, never passed over. */

import type { ProofRow } from './migrations.ts';

export interface ProvableVm {
  readonly id: string;
  readonly name: string;
  readonly project: string;
}

export interface DueOptions {
  readonly now: Date;
  /** A VM is proven again after so long; 0 = now. */
  readonly everyMs: number;
}

/** Those that were never proven come first, then those whose last proof is oldest. Whatever its verdict a proof counts as one: what failed
 *  is told and proven again with the next point, not every hour. */
export function dueVms(
  vms: readonly ProvableVm[],
  newest: readonly Pick<ProofRow, 'vm_id' | 'finished_at' | 'reason'>[],
  { now, everyMs }: DueOptions,
): readonly ProvableVm[] {
  const last = new Map(newest.map((row) => [row.vm_id, row]));
  const ageMs = ({ id }: ProvableVm) => {
    const row = last.get(id);
    // What was broken off proves nothing, and what had nothing to prove may have something now.
    if (row === undefined || row.reason === 'cancelled') return Number.POSITIVE_INFINITY;
    return now.getTime() - new Date(row.finished_at).getTime();
  };
  return vms
    .filter((vm) => ageMs(vm) >= everyMs)
    .toSorted((a, b) => {
      const [older, younger] = [ageMs(b), ageMs(a)];
      return older === younger ? (a.name < b.name ? -1 : 1) : older - younger;
    });
}
