/** Once a day each repository is read and cleaned, whether a schedule ran or not. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';

export interface UpkeepDependencies {
  readonly clock: Clock;
  readonly log: Logger;
  repositories(): readonly {
    readonly id: string;
    readonly name: string;
    readonly readAtMs: number | null;
    readonly prunedAtMs: number | null;
  }[];
  /** @throws AppError busy */
  read(repositoryId: string): Promise<void>;
  /** @throws AppError busy */
  prune(repositoryId: string, name: string): Promise<void>;
}

const LOOK_EVERY_MS = 300_000;
/** Less than a day, so that a nightly restart does not move it on and on. */
const EVERY_MS = 20 * 3_600_000;

export function createUpkeep({ clock, log, repositories, read, prune }: UpkeepDependencies) {
  /** Also when it lies in the future: then the date was another one. */
  const isDue = (atMs: number | null, nowMs: number) => atMs === null || Math.abs(nowMs - atMs) >= EVERY_MS;

  const look = async () => {
    const nowMs = clock.now().getTime();
    for (const { id, name, readAtMs, prunedAtMs } of repositories())
      try {
        if (isDue(readAtMs, nowMs)) await read(id);
        else if (isDue(prunedAtMs, nowMs)) await prune(id, name);
      } catch (error) {
        if (error instanceof AppError && error.code === 'busy') continue;
        log.warn({ err: error, repository: name }, `a repository could not be looked after: ${messageOf(error)}`);
      }
  };
  return {
    look,
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        await look();
        await nap(clock, LOOK_EVERY_MS, signal);
      }
    },
  };
}
