/** Exponential delay after failed proofs, by address or account. Never a lock-out: the delay has a bound, and a refusal for
 *  want of patience does not lengthen it. Counted by the monotonic clock, in a table that strangers cannot fill. */

import type { Clock } from '#kernel/clock.ts';

const MAX_ENTRIES = 10_000;
/** After so long without a failure everything is forgotten. */
const FORGET_MS = 15 * 60_000;

export interface BackOffRules {
  /** Failures without any delay. */
  readonly free: number;
  /** The first delay; each further failure doubles it. */
  readonly firstMs: number;
  readonly maxMs: number;
}

export interface BackOff {
  /** How long `key` still has to wait; 0 = may try now. */
  waitMs(key: string): number;
  failed(key: string): void;
  succeeded(key: string): void;
}

export function createBackOff(clock: Clock, { free, firstMs, maxMs }: BackOffRules): BackOff {
  const entries = new Map<string, { failures: number; lastMs: number; untilMs: number }>();
  return {
    waitMs: (key) => Math.max(0, (entries.get(key)?.untilMs ?? 0) - clock.monotonicMs()),
    failed(key) {
      const nowMs = clock.monotonicMs();
      const known = entries.get(key);
      const failures = known && nowMs - known.lastMs < FORGET_MS ? known.failures + 1 : 1;
      const delayMs = failures <= free ? 0 : Math.min(maxMs, firstMs * 2 ** Math.min(30, failures - free - 1));
      // The most recent stand last; when the table is full the one that has been quiet for longest goes.
      entries.delete(key);
      const [oldest] = entries.keys();
      if (entries.size >= MAX_ENTRIES && oldest !== undefined) entries.delete(oldest);
      entries.set(key, { failures, lastMs: nowMs, untilMs: nowMs + delayMs });
    },
    succeeded: (key) => void entries.delete(key),
  };
}
