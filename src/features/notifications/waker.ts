/** Work that has its own time and can be called for earlier. */

import type { Clock } from '#kernel/clock.ts';

export interface Waker {
  wake(): void;
  /** Resolves after `ms`, when it is woken (also before the call), or at the abort. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createWaker(clock: Clock): Waker {
  let isWoken = false;
  let interrupt: (() => void) | null = null;
  return {
    wake() {
      isWoken = true;
      interrupt?.();
    },
    async wait(ms, signal) {
      if (!isWoken && !signal.aborted) {
        const nap = new AbortController();
        interrupt = () => nap.abort();
        // Being woken and the end of the process are the expected ways out of a sleep.
        await clock.sleep(ms, AbortSignal.any([nap.signal, signal])).catch(() => undefined);
        interrupt = null;
      }
      isWoken = false;
    },
  };
}
