/** The routing: one document, in the database and in memory. */

import { type Routing, routingSchema } from '#contract/notifications.ts';
import type { Database } from '#platform/db/database.ts';
import type { NotificationTables } from './migrations.ts';

export interface RoutingStore {
  current(): Routing;
  replace(routing: Routing): Promise<void>;
  load(): Promise<void>;
}

export function createRoutingStore(db: Database): RoutingStore {
  let routing = routingSchema.parse({});
  const tables = () => db.tables<NotificationTables>();
  return {
    current: () => routing,
    async replace(next) {
      const text = JSON.stringify(next);
      await tables()
        .insertInto('notification_routing')
        .values({ id: 1, routing: text })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ routing: text }))
        .execute();
      routing = next;
    },
    async load() {
      const row = await tables().selectFrom('notification_routing').select('routing').executeTakeFirst();
      if (row) routing = routingSchema.parse(JSON.parse(row.routing));
    },
  };
}
