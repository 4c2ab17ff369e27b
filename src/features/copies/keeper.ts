/** Begins a copy whenever restore points are missing in one: after each backup, and again after a failure, later each time. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Copy } from './copy-store.ts';

const LOOK_MS = 30_000;
const FIRST_PAUSE_MS = 10 * 60_000;
const LONGEST_PAUSE_MS = 6 * 3_600_000;

export interface KeeperDependencies {
  readonly clock: Clock;
  readonly log: Logger;
  copies(): readonly Copy[];
  /** Points are missing there, and nobody copies now. */
  isDue(copy: Copy): boolean;
  begin(copy: Copy): Promise<void>;
}

export interface CopyKeeper {
  /** Something is new: looks now. */
  wake(): void;
  /** Ends with the signal. */
  run(signal: AbortSignal): Promise<void>;
}

/** How long after a failure the next try waits. */
export const pauseAfter = (failures: number): number =>
  failures === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1));

export function createCopyKeeper({ clock, log, copies, isDue, begin }: KeeperDependencies): CopyKeeper {
  let woken = new AbortController();
  const look = async (copy: Copy) => {
    const waitedMs = copy.lastAt === null ? Number.POSITIVE_INFINITY : clock.now().getTime() - Date.parse(copy.lastAt);
    // A clock that was set back must not make it wait for years.
    const isRested = waitedMs < 0 || waitedMs >= pauseAfter(copy.failures);
    if (!copy.isEnabled || !isRested || !isDue(copy)) return;
    try {
      await begin(copy);
    } catch (error) {
      log.warn({ err: error, repository: copy.repositoryId }, `a copy did not begin: ${messageOf(error)}`);
    }
  };
  return {
    wake: () => woken.abort(),
    async run(signal) {
      while (!signal.aborted) {
        woken = new AbortController();
        for (const copy of copies()) await look(copy);
        await nap(clock, LOOK_MS, AbortSignal.any([signal, woken.signal]));
      }
    },
  };
}
