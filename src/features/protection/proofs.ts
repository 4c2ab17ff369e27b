/** What protection asks of proofs. The slice that proves restore points is bound to it; where nothing proves, nothing is proven. */

import type { Vm } from '#contract/vms.ts';

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
  /** Begins a proof of this point and does not wait for it. */
  prove(vm: Vm, pointId: string): Promise<void>;
  /** Begins a proof of each whose last one is a week old. */
  proveDue(vms: readonly Vm[]): Promise<void>;
}

export const NO_PROOFS: ProofPort = {
  latest: () => ({ proof: null, passed: null }),
  prove: async () => undefined,
  proveDue: async () => undefined,
};
