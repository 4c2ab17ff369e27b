/** Fresh proofs for what cannot be taken back: each is bound to one session and to the digest of one request. */

import type { Clock } from '#kernel/clock.ts';

const PROOF_MS = 5 * 60_000;
/** A person may take his time over the question. */
const ASKED_MS = 15 * 60_000;

/** Refusals that are remembered for a session, so that whoever proves himself can be told what for. */
const MAX_ASKED = 50;

export interface StepUp {
  /** A request was refused for want of a proof. @param action for people, as `DELETE /users/{id} alice` */
  asked(sessionId: string, digest: string, action: string): void;
  /** What the session wanted to do with this digest; null when it asked for no such thing lately. */
  actionOf(sessionId: string, digest: string): string | null;
  /** The session's owner has just proven himself for this request (its digest is in the refusal `step_up_required`). */
  grant(sessionId: string, digest: string): void;
  has(sessionId: string, digest: string): boolean;
  forget(sessionId: string): void;
}

export function createStepUp(clock: Clock): StepUp {
  const proofs = new Map<string, Map<string, number>>();
  const wanted = new Map<string, Map<string, { readonly action: string; readonly untilMs: number }>>();
  return {
    asked(sessionId, digest, action) {
      const ofSession = wanted.get(sessionId) ?? new Map();
      const [oldest] = ofSession.keys();
      if (ofSession.size >= MAX_ASKED) ofSession.delete(oldest);
      ofSession.set(digest, { action, untilMs: clock.monotonicMs() + ASKED_MS });
      wanted.set(sessionId, ofSession);
    },
    actionOf(sessionId, digest) {
      const found = wanted.get(sessionId)?.get(digest);
      return found && found.untilMs > clock.monotonicMs() ? found.action : null;
    },
    grant(sessionId, digest) {
      const nowMs = clock.monotonicMs();
      const ofSession = new Map([...(proofs.get(sessionId) ?? [])].filter(([, untilMs]) => untilMs > nowMs));
      ofSession.set(digest, nowMs + PROOF_MS);
      proofs.set(sessionId, ofSession);
    },
    has: (sessionId, digest) => (proofs.get(sessionId)?.get(digest) ?? 0) > clock.monotonicMs(),
    forget(sessionId) {
      proofs.delete(sessionId);
      wanted.delete(sessionId);
    },
  };
}
