/** Keeps the reading of all backups together below a rate. */

import type { Clock } from '#kernel/clock.ts';

export interface Pace {
  /** Waits until so many more bytes may be read. @throws the signal's reason */
  take(bytes: number, signal: AbortSignal): Promise<void>;
}

/** @param bytesPerSecond null = as fast as it goes */
export function createPace(bytesPerSecond: number | null, clock: Pick<Clock, 'monotonicMs' | 'sleep'>): Pace {
  /** When everything that was let through until now would have been read at that rate. */
  let paidUntilMs = 0;
  return {
    async take(bytes, signal) {
      signal.throwIfAborted();
      if (bytesPerSecond === null) return;
      const nowMs = clock.monotonicMs();
      const fromMs = Math.max(nowMs, paidUntilMs);
      paidUntilMs = fromMs + (bytes / bytesPerSecond) * 1000;
      if (fromMs > nowMs) await clock.sleep(fromMs - nowMs, signal);
    },
  };
}
