/** Fresh proofs for what cannot be taken back: each is bound to one session and to the digest of one request. */

import type { Clock } from '#kernel/clock.ts';

const PROOF_MS = 5 * 60_000;

export interface StepUp {
  /** The session's owner has just proven himself for this request (its digest is in the refusal `step_up_required`). */
  grant(sessionId: string, digest: string): void;
  has(sessionId: string, digest: string): boolean;
  forget(sessionId: string): void;
}

export function createStepUp(clock: Clock): StepUp {
  const proofs = new Map<string, Map<string, number>>();
  return {
    grant(sessionId, digest) {
      const nowMs = clock.monotonicMs();
      const ofSession = new Map([...(proofs.get(sessionId) ?? [])].filter(([, untilMs]) => untilMs > nowMs));
      ofSession.set(digest, nowMs + PROOF_MS);
      proofs.set(sessionId, ofSession);
    },
    has: (sessionId, digest) => (proofs.get(sessionId)?.get(digest) ?? 0) > clock.monotonicMs(),
    forget: (sessionId) => void proofs.delete(sessionId),
  };
}
