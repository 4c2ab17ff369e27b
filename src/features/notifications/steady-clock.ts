/** Milliseconds since 1970 as they were when the process began, counted on by the monotonic clock: a step of the date neither fires nor
 *  delays anything, and the numbers can be kept over a restart. */

import type { Clock } from '#kernel/clock.ts';

export interface SteadyClock {
  nowMs(): number;
}

export function createSteadyClock(clock: Clock): SteadyClock {
  const wallMs = clock.now().getTime();
  const originMs = clock.monotonicMs();
  return { nowMs: () => Math.round(wallMs + clock.monotonicMs() - originMs) };
}
