/** How many proofs run at once. Each takes memory and processor from the VMs that people work with: one in four processors, one at least. */

import { availableParallelism } from 'node:os';

const PROCESSORS_EACH = 4;

export interface Place {
  release(): void;
}

export interface Places {
  /** Waits for a place, first come first served. @throws the signal's reason */
  take(signal: AbortSignal, onWait: () => void): Promise<Place>;
}

/** @param count null = by the processors of the host */
export function createPlaces(count: number | null): Places {
  let free = count ?? Math.max(1, Math.floor(availableParallelism() / PROCESSORS_EACH));
  const waiting: (() => void)[] = [];

  const placeTaken = (): Place => {
    let isHeld = true;
    return {
      release() {
        if (!isHeld) return;
        isHeld = false;
        const next = waiting.shift();
        if (next === undefined) free += 1;
        else next();
      },
    };
  };

  return {
    async take(signal, onWait) {
      signal.throwIfAborted();
      if (free > 0) {
        free -= 1;
        return placeTaken();
      }
      onWait();
      await new Promise<void>((resolve, reject) => {
        const onTurn = () => {
          signal.removeEventListener('abort', onAbort);
          resolve();
        };
        const onAbort = () => {
          waiting.splice(waiting.indexOf(onTurn), 1);
          reject(signal.reason);
        };
        waiting.push(onTurn);
        signal.addEventListener('abort', onAbort, { once: true });
      });
      return placeTaken();
    },
  };
}
