/** Once a day the state goes into each repository that can be written to. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';

/** A start has enough to do, and who stops hyperd again at once wanted something else. */
const FIRST_LOOK_MS = 600_000;
const LOOK_EVERY_MS = 600_000;
/** Less than a day, so that a nightly restart does not move it on and on. */
const EVERY_MS = 20 * 3_600_000;
/** A repository that cannot be reached is tried so often. */
const AGAIN_MS = 3_600_000;

export interface DailyDependencies {
  readonly clock: Clock;
  readonly log: Logger;
  /** Those that something may be written to, with the last time that this worked, and the last time it was tried. */
  repositories(): readonly {
    readonly id: string;
    readonly name: string;
    readonly at: string | null;
    readonly triedAt: string | null;
  }[];
  /** @throws AppError busy */
  begin(repositories: readonly { readonly id: string; readonly name: string }[]): Promise<void>;
}

export function createDaily({ clock, log, repositories, begin }: DailyDependencies) {
  const isPast = (at: string | null, ms: number) =>
    at === null || Math.abs(clock.now().getTime() - Date.parse(at)) >= ms;
  const look = async () => {
    const due = repositories().filter(({ at, triedAt }) => isPast(at, EVERY_MS) && isPast(triedAt, AGAIN_MS));
    if (due.length === 0) return;
    try {
      await begin(due.map(({ id, name }) => ({ id, name })));
    } catch (error) {
      if (error instanceof AppError && error.code === 'busy') return;
      log.warn({ err: error }, `the state of this host could not be backed up: ${messageOf(error)}`);
    }
  };
  return {
    look,
    async run(signal: AbortSignal): Promise<void> {
      for (let waitMs = FIRST_LOOK_MS; !signal.aborted; waitMs = LOOK_EVERY_MS) {
        await nap(clock, waitMs, signal);
        if (!signal.aborted) await look();
      }
    },
  };
}
