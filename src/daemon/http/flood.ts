/** Bounds for what strangers can make us do: attempts per address, and audit rows per address, counted by the monotonic clock. */

import type { Clock } from '#kernel/clock.ts';
import { sourceOf } from '#platform/source-address.ts';

const MAX_ADDRESSES = 10_000;

export interface Allowance {
  /** True while this address is within its allowance; each call uses one up. */
  take(address: string): boolean;
  /** How many calls were refused so far. */
  readonly refused: number;
}

/** @param limit calls per address in each window of `windowMs` */
export function createAllowance(clock: Clock, limit: number, windowMs: number): Allowance {
  const windows = new Map<string, { startMs: number; used: number }>();
  let refused = 0;
  return {
    take(from) {
      const address = sourceOf(from);
      const nowMs = clock.monotonicMs();
      const window = windows.get(address);
      if (!window || nowMs - window.startMs > windowMs) {
        // A flood from very many addresses may not fill our memory: the one that has been known for longest gives way.
        windows.delete(address);
        const [oldest] = windows.keys();
        if (windows.size >= MAX_ADDRESSES && oldest !== undefined) windows.delete(oldest);
        windows.set(address, { startMs: nowMs, used: 1 });
        return true;
      }
      window.used += 1;
      if (window.used <= limit) return true;
      refused += 1;
      return false;
    },
    get refused() {
      return refused;
    },
  };
}
