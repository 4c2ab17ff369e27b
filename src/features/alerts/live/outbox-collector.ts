/** Puts the state of the outbox into the history, so that rules can tell of messages that do not go out. */

import type { Collector, Owner } from '#features/metrics/index.ts';
import type { NotificationsApi } from '#features/notifications/index.ts';

export function outboxCollector(host: Owner, health: NotificationsApi['health']): Collector {
  return {
    name: 'outbox',
    async collect(sink) {
      const { oldestWaitingMs, dead } = await health();
      sink.put(host, 'host', '', 'outbox_oldest', Math.round(oldestWaitingMs / 1000));
      sink.put(host, 'host', '', 'dead_letters', dead);
    },
  };
}
