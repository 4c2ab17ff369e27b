/** Keeps the ledger equal to what exists: at the start, each hour, and soon after something changed without an operation of ours. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { QuotaLedger } from './ledger.ts';
import { type Difference, type ExistingSource, reconcileQuotas } from './reconcile.ts';

const RECONCILE_MS = 3_600_000;
/** Programs that change a VM change it several times within moments. */
const SETTLE_MS = 2000;
/** How long a repair is told on the first page. */
const TOLD_MS = 24 * 3_600_000;

/** A repair of the ledger, for people. */
export interface Repair extends Difference {
  readonly at: Date;
}

export interface Keeping {
  /** Looks once, then each hour until the signal. */
  run(signal: AbortSignal): Promise<void>;
  /** Something that is charged changed, perhaps by another program: look soon. */
  noticed(): void;
  repairs(): readonly Repair[];
}

export interface KeepingOptions {
  readonly db: Database;
  readonly ledger: QuotaLedger;
  readonly sources: readonly ExistingSource[];
  readonly clock: Clock;
  readonly log: Logger;
}

export function createKeeping({ db, ledger, sources, clock, log }: KeepingOptions): Keeping {
  let repairs: readonly Repair[] = [];
  let wake: () => void = () => undefined;
  let isDirty = false;

  /** @param isExpected something changed outside of our operations, so a difference is no fault */
  const look = async (isExpected: boolean) => {
    const { repaired, found } = await reconcileQuotas(db, ledger, sources);
    for (const holding of found) log.info({ ...holding }, 'what came from outside is charged to its project');
    for (const difference of repaired) {
      // A wrong sum is a fault whenever it is found.
      if (isExpected && difference.objectId !== null) log.info({ ...difference }, 'a change from outside is charged');
      else {
        log.warn({ ...difference }, 'the ledger of quotas was wrong and was repaired');
        repairs = [...repairs, { ...difference, at: clock.now() }];
      }
    }
    const since = clock.now().getTime() - TOLD_MS;
    repairs = repairs.filter(({ at }) => at.getTime() >= since).slice(-100);
  };

  const sleepOrWake = async (ms: number, signal: AbortSignal) => {
    const early = new AbortController();
    wake = () => early.abort();
    if (isDirty) return;
    await nap(clock, ms, AbortSignal.any([signal, early.signal]));
  };

  return {
    noticed() {
      isDirty = true;
      wake();
    },
    repairs: () => repairs,
    async run(signal) {
      let nextMs = clock.monotonicMs();
      let isFirst = true;
      while (!signal.aborted) {
        const isHourly = clock.monotonicMs() >= nextMs;
        if (isDirty && !isHourly) await nap(clock, SETTLE_MS, signal);
        if (signal.aborted) return;
        const hasChanged = isDirty;
        isDirty = false;
        try {
          if (hasChanged && !isFirst) await look(true);
          // What the daemon did not see happen is told.
          if (isHourly) await look(false);
          if (isHourly) nextMs = clock.monotonicMs() + RECONCILE_MS;
          isFirst = false;
        } catch (error) {
          log.warn({ err: error }, 'quotas could not be compared with what exists; it is tried again in an hour');
          nextMs = clock.monotonicMs() + RECONCILE_MS;
        }
        await sleepOrWake(Math.max(0, nextMs - clock.monotonicMs()), signal);
      }
    },
  };
}
