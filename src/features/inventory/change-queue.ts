/** Coalesces change notices: however often an object is named, it is looked at once more, and never twice at a time. Bounded: when more
 *  objects wait than allowed, all are dropped and everything is read anew. */

export interface ChangeQueue {
  push(id: string): void;
  /** Forgets what waits; work that runs goes on. */
  clear(): void;
  readonly size: number;
}

export interface ChangeQueueOptions {
  readonly maxWaiting: number;
  /** How many objects are looked at side by side. */
  readonly parallel: number;
  /** Looks at one object. Must not reject. */
  work(id: string): Promise<void>;
  /** Called once per overflow, after the queue was emptied. */
  onOverflow(): void;
}

export function createChangeQueue({ maxWaiting, parallel, work, onOverflow }: ChangeQueueOptions): ChangeQueue {
  const waiting = new Set<string>();
  const running = new Set<string>();
  let isScheduled = false;

  const pump = () => {
    isScheduled = false;
    for (const id of waiting) {
      if (running.size >= parallel) return;
      // Named again while it is looked at: it waits, because that look may have been too early.
      if (running.has(id)) continue;
      waiting.delete(id);
      running.add(id);
      void work(id).finally(() => {
        running.delete(id);
        schedule();
      });
    }
  };
  const schedule = () => {
    if (isScheduled || waiting.size === 0) return;
    isScheduled = true;
    // One turn later, so that a burst of events about one object costs one look.
    setImmediate(pump);
  };

  return {
    push(id) {
      waiting.add(id);
      if (waiting.size > maxWaiting) {
        waiting.clear();
        onOverflow();
        return;
      }
      schedule();
    },
    clear: () => waiting.clear(),
    get size() {
      return waiting.size;
    },
  };
}
