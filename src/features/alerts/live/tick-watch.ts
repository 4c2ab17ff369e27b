/** Tells when measuring itself stands still: then no rule is evaluated, and silence would look like health. */

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

/** Without a tick for so long measuring, or judging what was measured, stands still. */
export const STALE_MS = 6 * TICK_MS;

export function watchTicks({ db, clock, announcer, log }: Dependencies) {
  let tickedMs = clock.monotonicMs();
  let hasTicked = false;
  let staleSince: Date | null = null;

  const tell = async (since: Date) => {
    const silentMs = clock.monotonicMs() - tickedMs;
    log.error({ silentMs }, 'nothing is measured, so no alert can fire');
    await db.transaction((tx) =>
      announcer.announceEvent(tx, {
        key: `collector_stale ${since.toISOString()}`,
        severity: 'critical',
        title: 'Nothing is measured any more',
        text: `The last figures came ${formatDuration(silentMs)} ago. No alert can fire or end until they come again. Restart hyperd, and look at its log.`,
        project: null,
        labels: { source: 'collector_stale' },
      }),
    );
  };

  return {
    ticked() {
      tickedMs = clock.monotonicMs();
      hasTicked = true;
      if (staleSince !== null) log.info({}, 'figures come again');
      staleSince = null;
    },
    /** Whether figures came within the last minute. */
    isFresh: () => clock.monotonicMs() - tickedMs < STALE_MS,
    /** Looks until the signal. */
    async run(signal: AbortSignal): Promise<void> {
      while (!signal.aborted) {
        // The abort ends the sleep; that is the expected way out.
        await clock.sleep(TICK_MS, signal).catch(() => undefined);
        if (signal.aborted || !hasTicked || staleSince !== null || clock.monotonicMs() - tickedMs < STALE_MS) continue;
        const since = clock.now();
        staleSince = since;
        await tell(since).catch((error: unknown) =>
          log.error({ err: error }, 'that nothing is measured could not be told'),
        );
      }
    },
  };
}
