/** How many VMs the runs of all schedules back up side by side: the higher priority goes first, then who came first. Held in memory. */

export interface Turns {
  /** Resolves with what gives the turn back. @throws the signal's reason */
  take(priority: number, signal: AbortSignal): Promise<() => void>;
}

interface Waiting {
  readonly priority: number;
  begin(): void;
}

export function createTurns(parallel: number): Turns {
  let taken = 0;
  let waiting: Waiting[] = [];
  const next = () => {
    while (taken < parallel) {
      const highest = waiting.reduce((most, { priority }) => Math.max(most, priority), Number.NEGATIVE_INFINITY);
      const first = waiting.find(({ priority }) => priority === highest);
      if (!first) return;
      waiting = waiting.filter((other) => other !== first);
      taken += 1;
      first.begin();
    }
  };
  const giveBack = () => {
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      taken -= 1;
      next();
    };
  };
  return {
    take(priority, signal) {
      signal.throwIfAborted();
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          waiting = waiting.filter((other) => other !== entry);
          reject(signal.reason);
        };
        const entry: Waiting = {
          priority,
          begin() {
            signal.removeEventListener('abort', onAbort);
            resolve(giveBack());
          },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiting.push(entry);
        next();
      });
    },
  };
}
