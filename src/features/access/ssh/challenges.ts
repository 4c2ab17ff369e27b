/** Challenges: the exact bytes that a key must sign to sign in, to let a browser in, or to prove that its owner is there now.
 *  Kept in memory only, so a restart forgets them; each is taken once, whatever comes of it. */

import type { Clock } from '#kernel/clock.ts';
import { newSecret } from '#kernel/ids.ts';

const PROGRAM_MS = 60_000;
/** A person has to copy a command, type a passphrase and copy the answer. */
const PERSON_MS = 5 * 60_000;
const MAX_PENDING = 10_000;
const MAX_PER_SOURCE = 100;

export type Purpose = 'login' | 'device' | 'step-up';

export interface ChallengeRequest {
  readonly purpose: Purpose;
  /** The address that the client dialled, as `https://host:port`. */
  readonly aud: string;
  /** SHA-256 of the certificate that it must have seen there. */
  readonly fp: string;
  readonly user: string;
  /** Who asks; bounds how many he can have open. */
  readonly source: string;
  readonly by: 'program' | 'person';
  /** Of the browser that is to be let in. */
  readonly code?: string;
  /** Of the request that is to be done. */
  readonly digest?: string;
  /** The session that wants to step up; stays on the server. */
  readonly sessionId?: string;
}

export interface PendingChallenge extends ChallengeRequest {
  /** The bytes to sign, as UTF-8. */
  readonly text: string;
  readonly nonce: string;
  readonly expiresAt: string;
}

export interface Challenges {
  issue(request: ChallengeRequest): PendingChallenge;
  /** Takes a challenge away for good. Null when it is unknown, was taken before, is too old or for another purpose. */
  take(nonce: string, purpose: Purpose): PendingChallenge | null;
}

export function createChallenges(clock: Clock): Challenges {
  const pending = new Map<string, PendingChallenge & { readonly untilMs: number }>();
  const drop = (isUnwanted: (one: PendingChallenge & { readonly untilMs: number }) => boolean) => {
    for (const [nonce, one] of pending) if (isUnwanted(one)) pending.delete(nonce);
  };
  return {
    issue(request) {
      const nowMs = clock.monotonicMs();
      const lifeMs = request.by === 'person' ? PERSON_MS : PROGRAM_MS;
      const iat = Math.floor(clock.now().getTime() / 1000);
      const nonce = newSecret();
      const exp = iat + lifeMs / 1000;
      const text = JSON.stringify({
        v: 1,
        purpose: request.purpose,
        aud: request.aud,
        fp: request.fp,
        user: request.user,
        nonce,
        iat,
        exp,
        ...(request.code === undefined ? {} : { code: request.code }),
        ...(request.digest === undefined ? {} : { digest: request.digest }),
      });
      const own = [...pending.values()].filter(({ source }) => source === request.source);
      if (own.length >= MAX_PER_SOURCE || pending.size >= MAX_PENDING) drop(({ untilMs }) => untilMs <= nowMs);
      // The oldest makes room: his own before anybody else's. Programs answer within a second, so it is seldom missed.
      if (own.length >= MAX_PER_SOURCE && own[0]) pending.delete(own[0].nonce);
      const [oldest] = pending.keys();
      if (pending.size >= MAX_PENDING && oldest !== undefined) pending.delete(oldest);
      const made = { ...request, text, nonce, expiresAt: new Date(exp * 1000).toISOString(), untilMs: nowMs + lifeMs };
      pending.set(nonce, made);
      return made;
    },
    take(nonce, purpose) {
      const found = pending.get(nonce);
      pending.delete(nonce);
      return found && found.untilMs > clock.monotonicMs() && found.purpose === purpose ? found : null;
    },
  };
}
