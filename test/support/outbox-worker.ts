/** The sending half of hyperd as a process that can be killed: `outbox-worker.ts FOLDER ORIGIN CHANNELS COUNT`. Announces alerts
 *  that fire and resolve, each in one transaction with a line in a table of its own, which is what was really announced, and sends them. Prints `ready` when it begins. */

import { join } from 'node:path';
import { notificationErrors, routingSchema } from '#contract/notifications.ts';
import { createChannels } from '#features/notifications/channel-registry.ts';
import { noticeOf } from '#features/notifications/fake-outside.ts';
import { notificationMigrations } from '#features/notifications/migrations.ts';
import { announceAlert } from '#features/notifications/outbox/announcements.ts';
import { createDispatcher } from '#features/notifications/outbox/dispatcher.ts';
import { createFiringCauses } from '#features/notifications/outbox/firing-causes.ts';
import type { RoundFacts } from '#features/notifications/outbox/round.ts';
import { createSender } from '#features/notifications/outbox/sender.ts';
import { settleTimes } from '#features/notifications/outbox/told-alerts.ts';
import { createSilences } from '#features/notifications/routing/silences.ts';
import { createSteadyClock } from '#features/notifications/steady-clock.ts';
import { systemClock as clock } from '#kernel/clock.ts';
import { registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createFetcher } from '#platform/fetch/index.ts';
import { createSecretSeal } from '#platform/sealed-secrets.ts';

registerErrors(notificationErrors);
const [folder = '', origin = '', channelCount = '1', count = '0'] = process.argv.slice(2);
const db = openDatabase(join(folder, 'state.db'));
db.migrate('notifications', notificationMigrations);
db.migrate('test', [{ id: '001', statements: ['CREATE TABLE was_announced(what TEXT PRIMARY KEY) STRICT'] }]);
const channels = createChannels({ db, clock, seal: createSecretSeal(join(folder, 'secrets.key')) });
await channels.load([]);
for (let n = 0; n < Number(channelCount); n += 1)
  if (channels.get(`c${n}`) === null)
    await channels.add({ name: `c${n}`, kind: 'webhook', project: null, secrets: { url: `${origin}/c${n}` } });
const steady = createSteadyClock(clock);
await settleTimes(db, steady.nowMs(), null);
const fetcher = createFetcher({ allowPrivateHosts: ['127.0.0.1'], limits: { headersMs: 2000, textMs: 2000 } });
const sender = createSender({
  db,
  clock,
  log: silentLogger,
  channels,
  outside: (signal) => ({
    fetcher: () => fetcher,
    mail: () => Promise.reject(new Error('there is no mail here')),
    nowMs: Date.now,
    signal,
  }),
  nowMs: steady.nowMs,
  // The shortest pauses: the time goes into kills instead.
  random: () => 0,
  onIdle: () => undefined,
  onChange: () => undefined,
});
const routing = routingSchema.parse({ groupWait: '0s', groupInterval: '0s' });
const facts: RoundFacts = {
  causes: createFiringCauses(),
  silences: createSilences(db, clock),
  host: 'node1',
  nowMs: steady.nowMs,
  wallMs: Date.now,
  origin: () => 'https://node1.example',
  isInFlight: sender.isInFlight,
  view: () => ({ routes: [], channels: channels.all(), projectName: () => null, now: () => new Date() }),
};
const dispatcher = createDispatcher({ db, facts, routing: () => routing, onWritten: () => undefined });

interface Announced {
  was_announced: { what: string };
}
const isAnnounced = async (what: string) =>
  (await db.tables<Announced>().selectFrom('was_announced').selectAll().where('what', '=', what).executeTakeFirst()) !==
  undefined;

/** @param n names one alert; each call is its next step */
async function announce(n: number): Promise<void> {
  const channel = `c${n % Number(channelCount)}`;
  const fire = noticeOf({
    fingerprint: `fp-${n}`,
    rule: { id: `rule-${n}`, name: `rule-${n}`, channels: [channel], cooldownMs: 0 },
  });
  const steps = [
    { what: `fp-${n} firing`, notice: fire },
    { what: `fp-${n} resolved`, notice: { ...fire, kind: 'resolved' as const, endedAtMs: fire.startedAtMs + 1000 } },
  ];
  for (const { what, notice } of steps) {
    if (await isAnnounced(what)) continue;
    await db.transaction(async (tx) => {
      await announceAlert(tx, notice, steady.nowMs());
      await tx.tables<Announced>().insertInto('was_announced').values({ what }).execute();
    });
    return;
  }
}

process.stdout.write('ready\n');
const lifetime = new AbortController();
let isAnnouncing = true;
const announcing = (async () => {
  for (let round = 0; round < 2; round += 1)
    for (let n = 0; n < Number(count); n += 1) {
      await announce(n);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  isAnnouncing = false;
})();
const waiting = async () => {
  const { length } = await db
    .tables<{ delivery: { id: string; state: string } }>()
    .selectFrom('delivery')
    .select('id')
    .where('state', '=', 'waiting')
    .execute();
  const announced = await db.tables<{ announced: { id: number } }>().selectFrom('announced').select('id').execute();
  return length + announced.length;
};
while (isAnnouncing || (await waiting()) > 0) {
  await dispatcher.run();
  await sender.run(lifetime.signal);
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await announcing;
await sender.settled();
await db.close();
