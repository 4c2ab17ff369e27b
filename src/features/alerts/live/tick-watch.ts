/** Tells when nothing is measured or no rule is evaluated any more, or ever was: then silence would look like health. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import { formatDuration } from '#kernel/units.ts';
import type { Database } from '#platform/db/database.ts';
import { TICK_MS } from '../machine/machine.ts';
import type { Announcer } from '../notices.ts';

interface Dependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly announcer: Pick<Announcer, 'announceEvent'>;
  readonly log: Logger;
}

export interface TickWatch {
  /** Figures came. */
  measured(): void;
  /** All rules were evaluated, and what came of it is on the disk. */
  evaluated(): void;
  isMeasuring(): boolean;
  isEvaluating(): boolean;
  /** Looks until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

const STALE_MS = 6 * TICK_MS;

/** Time counts from now on. */
export function watchTicks({ db, clock, announcer, log }: Dependencies): TickWatch {
  let measuredMs = clock.monotonicMs();
  let evaluatedMs = measuredMs;
  let isTold = false;
  let staleSince: Date | null = null;
  const isYoung = (atMs: number) => clock.monotonicMs() - atMs < STALE_MS;

  const tell = async (since: Date) => {
    const isMeasuring = isYoung(measuredMs);
    const silentMs = clock.monotonicMs() - (isMeasuring ? evaluatedMs : measuredMs);
    const what = isMeasuring
      ? { title: 'Alert rules are not evaluated', text: `No evaluation succeeded for ${formatDuration(silentMs)}.` }
      : { title: 'Nothing is measured', text: `No figures came for ${formatDuration(silentMs)}.` };
    log.error({ silentMs }, `${what.title}, so no alert can fire`);
    await db.transaction((tx) =>
      announcer.announceEvent(tx, {
        key: `collector_stale ${since.toISOString()}`,
        severity: 'critical',
        title: what.title,
        text: `${what.text} No alert can fire or end until that works again. Restart hyperd, and look at its log.`,
        project: null,
        labels: { source: 'collector_stale' },
      }),
    );
  };

  const look = async () => {
    if (isYoung(evaluatedMs)) {
      if (staleSince !== null) log.info({}, 'rules are evaluated again');
      staleSince = null;
      isTold = false;
      return;
    }
    staleSince ??= clock.now();
    if (isTold) return;
    try {
      await tell(staleSince);
      isTold = true;
    } catch (error) {
      // The next look tries again: what keeps rules from being evaluated may keep this from being written.
      log.error({ err: error }, 'that no alert can fire could not be told');
    }
  };

  return {
    measured() {
      measuredMs = clock.monotonicMs();
    },
    evaluated() {
      evaluatedMs = clock.monotonicMs();
    },
    isMeasuring: () => isYoung(measuredMs),
    isEvaluating: () => isYoung(evaluatedMs),
    async run(signal) {
      while (!signal.aborted) {
        await nap(clock, TICK_MS, signal);
        if (!signal.aborted) await look();
      }
    },
  };
}
