/** What protection asks of proofs, in its own words, and how the slice that proves restore points answers. */

import type { ProofSummary } from '#contract/verification.ts';
import type { Vm } from '#contract/vms.ts';
import type { VerificationApi } from '#features/verification/index.ts';
import { SYSTEM_IDENTITY } from '#platform/feature.ts';

export interface ProofFact {
  readonly pointId: string | null;
  /** When it ended, in milliseconds since the epoch. */
  readonly atMs: number;
  readonly verdict: 'pass' | 'fail' | 'inconclusive';
  readonly level: number;
  /** From the decision to a running guest; null = it did not get there. */
  readonly recoverySeconds: number | null;
}

export interface ProofPort {
  /** The newest proof of any of its points, and the newest that passed. Never waits. */
  latest(vmId: string): { readonly proof: ProofFact | null; readonly passed: ProofFact | null };
  /** Its proofs in a row, up to the newest, that showed nothing. Never waits. */
  inconclusiveInRow(vmId: string): number;
  /** Begins a proof of this point and does not wait for it. */
  prove(vm: Vm, pointId: string): Promise<void>;
  /** Begins proofs of those whose last one is a week old, some at each call. */
  proveDue(vms: readonly Vm[], atMost: number): Promise<void>;
}

const WEEK_MS = 7 * 86_400_000;

export function proofsOf({ latest, inconclusiveInRow, startProof, proveDue }: VerificationApi): ProofPort {
  const fact = (proof: ProofSummary | null): ProofFact | null =>
    proof && {
      pointId: proof.pointId,
      atMs: Date.parse(proof.finishedAt),
      verdict: proof.verdict,
      level: proof.level ?? 0,
      recoverySeconds: proof.recoverySeconds,
    };
  return {
    latest(vmId) {
      const { proof, passed } = latest(vmId);
      return { proof: fact(proof), passed: fact(passed) };
    },
    inconclusiveInRow,
    async prove(vm, pointId) {
      await startProof(
        vm,
        { pointId, level: null },
        { identity: SYSTEM_IDENTITY, requestId: null, idempotencyKey: null, requestHash: '', action: 'after a backup' },
      );
    },
    async proveDue(vms, atMost) {
      await proveDue(vms, { everyMs: WEEK_MS, action: 'weekly proof', atMost });
    },
  };
}
