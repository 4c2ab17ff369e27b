/** How many backups run side by side: each waits for its turn. Held in memory; one that goes on after a restart takes its turn at once. */

export interface Turns {
  /** Resolves when it is this one's turn. A second call by the same holder resolves at once.
   *  @throws the signal's reason */
  take(holder: string, signal: AbortSignal): Promise<void>;
  /** Takes a turn without waiting: for what is under way already. */
  hold(holder: string): void;
  release(holder: string): void;
}

export function createTurns(parallel: number): Turns {
  const holders = new Set<string>();
  const waiting: { readonly holder: string; begin(): void }[] = [];
  const next = () => {
    while (holders.size < parallel) {
      const first = waiting.shift();
      if (!first) return;
      holders.add(first.holder);
      first.begin();
    }
  };
  return {
    async take(holder, signal) {
      signal.throwIfAborted();
      if (holders.has(holder)) return;
      await new Promise<void>((resolve, reject) => {
        const onAbort = () => {
          const at = waiting.indexOf(entry);
          if (at >= 0) waiting.splice(at, 1);
          reject(signal.reason);
        };
        const entry = {
          holder,
          begin() {
            signal.removeEventListener('abort', onAbort);
            resolve();
          },
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiting.push(entry);
        next();
      });
    },
    hold: (holder) => void holders.add(holder),
    release(holder) {
      if (holders.delete(holder)) next();
    },
  };
}
