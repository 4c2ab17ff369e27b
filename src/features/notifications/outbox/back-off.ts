/** When a message that was not taken is tried again, and when it is given up. */

import type { Severity } from '#contract/alerts-config.ts';

const FIRST_MS = 5_000;
const CAP_MS = 15 * 60_000;
const HOUR_MS = 3_600_000;

/** Full jitter: anything up to 5 s × 2^n and at most 15 min, so that many messages do not come back together; what the receiver asks for is
 *  a lower bound.
 *  @param attempts made so far, at least 1
 *  @param random in [0, 1) */
export function pauseMs(attempts: number, retryAfterMs: number | null, random: number): number {
  const widest = Math.min(CAP_MS, FIRST_MS * 2 ** Math.min(attempts - 1, 20));
  return Math.max(Math.round(widest * random), retryAfterMs ?? 0, 250);
}

/** How much waiting a message is worth. */
export const giveUpAfterMs = (severity: Severity): number => (severity === 'critical' ? 72 : 24) * HOUR_MS;
