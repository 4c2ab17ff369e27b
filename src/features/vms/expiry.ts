/** Empties the trash of what lies there longer than the configuration says, the quarantine of what failed operations left as long ago,
 *  and removes seeds of requests that came to nothing. */

import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { OperationsApi } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { StateFolders } from '#platform/config.ts';
import type { Identity } from '#platform/feature.ts';
import type { VmKinds } from './kinds.ts';
import { trashInput } from './routes.ts';
import type { TrashStore } from './trash-store.ts';

const LOOK_EVERY_MS = 3_600_000;
const SEED_KEPT_MS = 24 * 3_600_000;
const DAY_MS = 86_400_000;

const SYSTEM: Identity = { user: 'system', role: 'admin', via: 'system', sessionId: null, address: null };

export interface ExpiryDependencies {
  readonly operations: OperationsApi;
  readonly kinds: VmKinds;
  readonly trash: TrashStore;
  readonly state: StateFolders;
  readonly trashDays: number;
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly log: Logger;
}

/** Runs until the signal. */
export async function runTrashExpiry(
  { operations, kinds, trash, state, trashDays, clock, calendar, log }: ExpiryDependencies,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      if (calendar.leap() === null) await expire();
    } catch (error) {
      log.warn({ err: error }, 'the trash could not be looked through; the next look is in an hour');
    }
    // The abort ends the sleep; that is the expected way out.
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
  }

  async function expire(): Promise<void> {
    const now = clock.now();
    for (const row of trash.list().filter((item) => !item.isTakenAway && item.purgeAt <= now.toISOString())) {
      try {
        await operations.start(kinds.purge, trashInput(row), {
          identity: SYSTEM,
          requestId: null,
          idempotencyKey: null,
          requestHash: row.id,
          action: 'job trash.expire',
        });
      } catch (error) {
        // Somebody restores or purges it at this moment.
        if (!(error instanceof AppError) || error.code !== 'busy') throw error;
      }
    }
    await dropOldSeeds(state.scratch, now.getTime() - SEED_KEPT_MS);
    await dropOldQuarantine(state.quarantine, now.getTime() - trashDays * DAY_MS, log);
  }
}

async function dropOldSeeds(scratch: string, beforeMs: number): Promise<void> {
  for (const name of await readdir(scratch)) {
    // Finished seeds that no operation took, and the folders in which a crash left half-made ones.
    if (!/^seed-([0-9a-f-]{36}\.iso(\.part)?|[A-Za-z0-9]{6})$/.test(name)) continue;
    const path = join(scratch, name);
    try {
      if ((await stat(path)).mtimeMs < beforeMs) await rm(path, { recursive: true });
    } catch (error) {
      // An operation took it meanwhile.
      if (!hasErrno(error, 'ENOENT')) throw error;
    }
  }
}

/** Only folders named by an operation; what somebody else put there stays. */
async function dropOldQuarantine(quarantine: string, beforeMs: number, log: Logger): Promise<void> {
  for (const name of await readdir(quarantine)) {
    const path = join(quarantine, name);
    if (!/^op-[0-9a-z]{26}$/.test(name) || (await stat(path)).mtimeMs >= beforeMs) continue;
    log.info({ operation: name }, 'what a failed operation left is deleted after its time');
    await rm(path, { recursive: true });
  }
}
