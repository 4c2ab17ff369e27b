/** What `/metrics`, the history and health checks learn of the outbox. */

import type { Clock } from '#kernel/clock.ts';
import type { Database } from '#platform/db/database.ts';
import type { MetricFamily } from '#platform/feature.ts';
import type { NotificationTables } from './migrations.ts';

interface OutboxFigures {
  readonly waiting: number;
  readonly dead: number;
  readonly oldestWaitingMs: number;
}

export function notificationMetrics(db: Database, clock: Clock) {
  let newest: OutboxFigures = { waiting: 0, dead: 0, oldestWaitingMs: 0 };

  const read = async () => {
    const rows = await db
      .tables<NotificationTables>()
      .selectFrom('delivery')
      .select(({ fn }) => ['state', fn.countAll<number>().as('count'), fn.min('at').as('oldest')])
      .where('state', 'in', ['waiting', 'dead'])
      .groupBy('state')
      .execute();
    const of = (state: string) => rows.find((row) => row.state === state);
    const oldest = of('waiting')?.oldest;
    newest = {
      waiting: of('waiting')?.count ?? 0,
      dead: of('dead')?.count ?? 0,
      oldestWaitingMs: oldest === undefined ? 0 : Math.max(0, clock.now().getTime() - Date.parse(oldest)),
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
        gauge('hyper_outbox_oldest_seconds', 'Age of the oldest of them.', newest.oldestWaitingMs / 1000),
        gauge('hyper_outbox_dead', 'Messages that were given up.', newest.dead),
      ];
    },
  };
}
