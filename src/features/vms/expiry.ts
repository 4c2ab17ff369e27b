/** Empties the trash of what lies there longer than the configuration says, the quarantine of what failed operations left as long ago,
 *  and removes seeds of requests that came to nothing. */

import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationsApi } from '#features/operations/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { StateFolders } from '#platform/config.ts';
import { SYSTEM_IDENTITY } from '#platform/feature.ts';
import type { VmKinds } from './kinds.ts';
import { trashInput } from './routes.ts';
import type { TrashStore } from './trash-store.ts';

const LOOK_EVERY_MS = 3_600_000;
const SEED_KEPT_MS = 24 * 3_600_000;
const DAY_MS = 86_400_000;

export interface ExpiryDependencies {
  readonly operations: OperationsApi;
  readonly kinds: VmKinds;
  readonly trash: TrashStore;
  readonly state: StateFolders;
  readonly trashDays: number;
  readonly projects: Pick<ProjectsApi, 'ofDomain'>;
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly log: Logger;
}

/** Runs until the signal. */
export async function runTrashExpiry(
  { operations, kinds, trash, state, trashDays, projects, clock, calendar, log }: ExpiryDependencies,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      if (calendar.leap() === null) await expire();
    } catch (error) {
      log.warn({ err: error }, 'the trash could not be looked through; the next look is in an hour');
    }
    await nap(clock, LOOK_EVERY_MS, signal);
  }

  async function expire(): Promise<void> {
    const now = clock.now();
    for (const row of trash.list().filter((item) => !item.isTakenAway && item.purgeAt <= now.toISOString())) {
      try {
        await operations.start(kinds.purge, trashInput(row, projects.ofDomain), {
          identity: SYSTEM_IDENTITY,
          project: projects.ofDomain(row.name).project,
          requestId: null,
          idempotencyKey: null,
          requestHash: row.id,
          action: 'job trash.expire',
        });
      } catch (error) {
        // Somebody restores or purges it at this moment.
        if (error instanceof AppError && error.code === 'busy') continue;
        log.warn({ err: error, trash: row.id }, 'what lay its time in the trash could not be deleted');
      }
    }
    await dropOldSeeds(state.scratch, now.getTime() - SEED_KEPT_MS, log);
    await dropOldQuarantine(state.quarantine, now.getTime() - trashDays * DAY_MS, log);
  }
}

/** Finished seeds that no operation took, and the folders in which a crash left half-made ones. */
function dropOldSeeds(scratch: string, beforeMs: number, log: Logger): Promise<void> {
  return dropOld(scratch, /^seed-([0-9a-f-]{36}\.iso(\.part)?|[A-Za-z0-9]{6})$/, beforeMs, log);
}

/** Only what is named by an operation; what somebody else put there stays. */
function dropOldQuarantine(quarantine: string, beforeMs: number, log: Logger): Promise<void> {
  return dropOld(quarantine, /^op-[0-9a-z]{26}$/, beforeMs, log);
}

/** Deletes old entries of these names, links as links. One that cannot be deleted does not keep the others. */
async function dropOld(folder: string, names: RegExp, beforeMs: number, log: Logger): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!names.test(name)) continue;
    const path = join(folder, name);
    try {
      if ((await lstat(path)).mtimeMs >= beforeMs) continue;
      await rm(path, { recursive: true });
      log.info({ path }, 'what nobody came back for is deleted after its time');
    } catch (error) {
      // An operation took it meanwhile.
      if (hasErrno(error, 'ENOENT')) continue;
      log.warn({ err: error, path }, 'an old file could not be deleted; the next look is in an hour');
    }
  }
}
