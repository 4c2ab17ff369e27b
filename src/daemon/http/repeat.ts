/** Idempotency-Key for POSTs that start no operation: the first answer is given again for ten minutes.
 *  Kept in memory only, because answers such as sign-in links hold secrets. Operations keep theirs in the journal. */

import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';

const KEPT_MS = 600_000;
const MAX_KEPT = 2000;

interface Kept {
  readonly hash: string;
  readonly answer: Promise<unknown>;
  readonly atMs: number;
}

export interface RepeatedAnswers {
  /** Runs `work` once per actor and key; a failed run is forgotten, so that it can be tried again.
   *  @throws idempotency_key_reused when the key came with another request */
  once(actor: string, key: string, hash: string, work: () => Promise<unknown>): Promise<unknown>;
}

export function createRepeatedAnswers(clock: Clock): RepeatedAnswers {
  const kept = new Map<string, Kept>();

  const forgetOld = () => {
    for (const [name, entry] of kept) {
      if (clock.monotonicMs() - entry.atMs < KEPT_MS && kept.size < MAX_KEPT) break;
      kept.delete(name);
    }
  };

  return {
    once(actor, key, hash, work) {
      forgetOld();
      const name = `${actor} ${key}`;
      const known = kept.get(name);
      if (known && known.hash !== hash) throw new AppError('idempotency_key_reused');
      if (known) return known.answer;
      const answer = work();
      kept.set(name, { hash, answer, atMs: clock.monotonicMs() });
      answer.catch(() => kept.delete(name));
      return answer;
    },
  };
}
