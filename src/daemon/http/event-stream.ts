/** Server-sent events: one ring of recent messages, serialised once and shared by all clients; a client that does not read is cut. */

import { PassThrough, type Readable } from 'node:stream';
import type { ApiEventName, ApiEvents } from '#contract/events.ts';
import { RESET_EVENT } from '#contract/events.ts';
import type { Permission } from '#contract/permissions.ts';
import type { AccessApi } from '#features/access/index.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Identity, MetricFamily, ObjectRef } from '#platform/feature.ts';

const KEPT_MESSAGES = 2000;
const MAX_BUFFERED_BYTES = 1024 * 1024;
const HEARTBEAT_MS = 15_000;
/** No stream outlives the right to it by more than this. */
const RECHECK_MS = 5000;

/** The permission that an event needs, the object it is asked for, and, where not everybody who may hear of it may read all of it, what
 *  of it those may read of whom this tells. */
export type Topic = readonly [
  Permission,
  ObjectRef,
  ((may: (permission: Permission, object: ObjectRef) => boolean) => unknown)?,
];

interface Message {
  readonly id: number;
  readonly topic: Topic;
  /** For everybody who reads all of it. */
  readonly text: string;
  readonly name: string;
}

interface Client {
  readonly identity: Identity;
  readonly stream: PassThrough;
}

export interface EventStream {
  /** A stream that begins after `lastEventId` when that is still kept, else with a `reset`. One without begins with the id of now, so that a
   *  client whose line breaks before the first event can go on from there. */
  open(identity: Identity, lastEventId: string | null, signal: AbortSignal): Readable;
  metrics(): readonly MetricFamily[];
  close(): void;
}

/** @param topicOf what one must be allowed to see to hear of an event
 *  @param epoch distinguishes this life of the daemon, so that ids of an earlier one ask for a reset
 *  @param onWatcher told of each client that comes (+1) and goes (-1) */
export function createEventStream(
  events: EventBus<ApiEvents>,
  access: Pick<AccessApi, 'decide' | 'holds' | 'reach' | 'sessions'>,
  topicOf: <Name extends ApiEventName>(name: Name, payload: ApiEvents[Name]) => Topic,
  epoch: string,
  onWatcher: (change: 1 | -1) => void,
): EventStream {
  const ring: Message[] = [];
  const clients = new Set<Client>();
  let lastId = 0;
  let cut = 0;

  const maySee = (identity: Identity, [permission, object]: Topic): boolean =>
    access.decide(identity, permission, object).allow;

  const textOf = (id: number, name: string, payload: unknown): string =>
    `id: ${epoch}-${id}\nevent: ${name}\ndata: ${JSON.stringify(payload)}\n\n`;
  const textFor = (identity: Identity, { id, name, topic: [, , readable], text }: Message): string =>
    readable && access.reach(identity, 'vm.read') !== null
      ? textOf(
          id,
          name,
          readable((permission, object) => access.decide(identity, permission, object).allow),
        )
      : text;

  const resetMessage = (): string => `id: ${epoch}-${lastId}\nevent: ${RESET_EVENT}\ndata: {}\n\n`;

  const drop = (client: Client) => {
    if (!clients.delete(client)) return;
    client.stream.end();
    onWatcher(-1);
  };

  const push = (client: Client, text: string) => {
    if (client.stream.writableLength > MAX_BUFFERED_BYTES) {
      cut += 1;
      clients.delete(client);
      client.stream.destroy();
      onWatcher(-1);
      return;
    }
    client.stream.write(text);
  };

  const stopListening = events.onAny((name, payload) => {
    lastId += 1;
    const message = {
      id: lastId,
      topic: topicOf(name, payload),
      name,
      text: textOf(lastId, name, payload),
    };
    ring.push(message);
    if (ring.length > KEPT_MESSAGES) ring.shift();
    for (const client of [...clients])
      if (maySee(client.identity, message.topic)) push(client, textFor(client.identity, message));
  });

  const stopSessions = access.sessions.onSessionEnded((sessionId) => {
    for (const client of [...clients]) if (client.identity.sessionId === sessionId) drop(client);
  });

  /** Everybody reads anew what he may see now; who may see nothing any more is cut off. */
  const recheck = (isChanged: boolean) => {
    for (const client of [...clients]) {
      if (!access.holds(client.identity, 'operation.read')) drop(client);
      else if (isChanged) push(client, resetMessage());
    }
  };
  const stopAccess = events.on('access.changed', () => recheck(true));
  // A token can run out without anybody changing a grant.
  const rechecking = setInterval(() => recheck(false), RECHECK_MS);

  const heartbeat = setInterval(() => {
    for (const client of [...clients]) push(client, ': alive\n\n');
  }, HEARTBEAT_MS);

  return {
    open(identity, lastEventId, signal) {
      const stream = new PassThrough({ highWaterMark: 64 * 1024 });
      const client = { identity, stream };
      stream.on('error', () => drop(client));
      stream.on('close', () => drop(client));
      signal.addEventListener('abort', () => drop(client), { once: true });
      stream.write('retry: 2000\n\n');
      if (lastEventId === null) stream.write(`id: ${epoch}-${lastId}\n\n`);
      else {
        const [from, number] = lastEventId.split('-');
        const after = Number(number);
        const oldest = ring[0]?.id ?? lastId + 1;
        if (from === epoch && Number.isSafeInteger(after) && after >= oldest - 1) {
          for (const message of ring)
            if (message.id > after && maySee(identity, message.topic)) stream.write(textFor(identity, message));
        } else {
          stream.write(resetMessage());
        }
      }
      clients.add(client);
      onWatcher(1);
      return stream;
    },
    metrics: () => [
      {
        name: 'hyper_event_clients',
        type: 'gauge',
        help: 'Clients of the event stream.',
        samples: [{ value: clients.size }],
      },
      {
        name: 'hyper_event_clients_cut_total',
        type: 'counter',
        help: 'Event clients cut because they did not read.',
        samples: [{ value: cut }],
      },
    ],
    close() {
      clearInterval(heartbeat);
      clearInterval(rechecking);
      stopAccess();
      stopListening();
      stopSessions();
      for (const client of [...clients]) drop(client);
    },
  };
}
