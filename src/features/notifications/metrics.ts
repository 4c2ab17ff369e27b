/** What `/metrics`, the history and health checks learn of the outbox. */

import { sql } from 'kysely';
import type { Database } from '#platform/db/database.ts';
import type { MetricFamily } from '#platform/feature.ts';
import type { NotificationTables } from './migrations.ts';

/** Longer than the longest waiting, so that what was given up is told of; later it is history. */
const DEAD_FOR_MS = 4 * 86_400_000;

/** @param nowMs the steady clock, by which messages are kept */
export function notificationMetrics(db: Database, nowMs: () => number) {
  let newest = { waiting: 0, dead: 0, oldestWaitingMs: 0 };

  const read = async () => {
    const rows = await db
      .tables<NotificationTables>()
      .selectFrom('delivery')
      .select(({ fn }) => [
        'state',
        fn.countAll<number>().as('count'),
        // What was never tried waits for its turn, as for the next digest: only since that came it is late.
        sql<number>`min(CASE WHEN attempts > 0 THEN created_ms ELSE next_ms END)`.as('since_ms'),
      ])
      // Who asks for a test is told of its failure at once.
      .where('kind', '!=', 'test')
      .where(({ eb, and, or }) =>
        or([
          eb('state', '=', 'waiting'),
          and([eb('state', '=', 'dead'), eb('created_ms', '>', nowMs() - DEAD_FOR_MS)]),
        ]),
      )
      .groupBy('state')
      .execute();
    const of = (state: string) => rows.find((row) => row.state === state);
    const sinceMs = of('waiting')?.since_ms;
    newest = {
      waiting: of('waiting')?.count ?? 0,
      dead: of('dead')?.count ?? 0,
      oldestWaitingMs: sinceMs === undefined ? 0 : Math.max(0, nowMs() - sinceMs),
    };
    return newest;
  };

  return {
    read,
    families(): readonly MetricFamily[] {
      const gauge = (name: string, help: string, value: number): MetricFamily => ({
        name,
        type: 'gauge',
        help,
        samples: [{ value }],
      });
      return [
        gauge('hyper_outbox_waiting', 'Messages that wait to be sent.', newest.waiting),
        gauge(
          'hyper_outbox_oldest_seconds',
          'How long the oldest of them could have been sent and was not.',
          newest.oldestWaitingMs / 1000,
        ),
        gauge('hyper_outbox_dead', 'Messages of the last four days that were given up.', newest.dead),
      ];
    },
  };
}
