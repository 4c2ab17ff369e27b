/** Evaluation and messages in one process, as in hyperd, until it is killed: `alerting-worker.ts FOLDER ORIGIN SEED TICK BEGAN_MS [last]`. The
 *  slices `projects` and `notifications` are composed as in hyperd, with a clock that runs fast; the evaluation writes into the same
 *  database, in the same transactions. Begins at that tick of the world and prints each tick once it is on disk; with `last` it
 *  evaluates nothing and ends when everything is sent. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiEvents } from '#contract/events.ts';
import { routingSchema } from '#contract/notifications.ts';
import { compose } from '#daemon/compose.ts';
import { createFakeMachine, startFakeDaemon } from '#features/alerts/fake-host.ts';
import { notifications } from '#features/notifications/index.ts';
import { createRoutingStore } from '#features/notifications/routing-store.ts';
import { projects } from '#features/projects/index.ts';
import { type Clock, systemClock } from '#kernel/clock.ts';
import { createEventBus } from '#kernel/event-bus.ts';
import { silentLogger } from '#kernel/logger.ts';
import { createLibvirtHost } from '#libvirt/index.ts';
import { loadConfig } from '#platform/config.ts';
import { openDatabase } from '#platform/db/database.ts';
import { createSpaceLedger } from '#platform/disk-space.ts';
import { samplesAt, VM_NAMES, WORLD_RULES } from './alert-world.ts';

const TICK_MS = 10_000;
/** An hour's share of messages is to be had again after six seconds. */
const TIMES_FASTER = 600;

const [folder = '', origin = '', seedText = '1', tickText = '1', beganText = '0', mode = ''] = process.argv.slice(2);
const beganMs = Number(beganText);

const fastClock: Clock = {
  monotonicMs: () => performance.now() * TIMES_FASTER,
  now: () => new Date(beganMs + (Date.now() - beganMs) * TIMES_FASTER),
  sleep: (ms, signal) => systemClock.sleep(ms / TIMES_FASTER, signal),
};

const configFile = join(folder, 'config.json');
const document = {
  alerts: { webhooks: VM_NAMES.map((name) => `${origin}/${name}`) },
  notifications: { allowPrivateHosts: ['127.0.0.1'] },
};
await mkdir(join(folder, 'notifications'), { recursive: true });
await writeFile(configFile, JSON.stringify(document), { mode: 0o600 });
const config = await loadConfig({ HV_STATE_DIR: folder, HV_RUNTIME_DIR: folder, HV_CONFIG: configFile });
const channelOf = (n: number) => (n === 0 ? 'webhook' : `webhook-${n + 1}`);
const db = openDatabase(join(folder, 'state.db'));
const composition = compose(
  [projects, notifications],
  {
    config,
    db,
    libvirt: createLibvirtHost({ uri: 'test:///default' }),
    clock: fastClock,
    calendar: { leap: () => null },
    events: createEventBus<ApiEvents>((error) => {
      throw error;
    }),
    address: () => ({ origin: 'https://node1.example', fingerprint: '', certificateEndsAt: new Date(0) }),
    space: createSpaceLedger(),
    startedAt: new Date(),
    recentLog: () => [],
    restart: () => undefined,
  },
  silentLogger,
);
await createRoutingStore(db).replace(
  routingSchema.parse({
    groupWait: '0s',
    groupInterval: '0s',
    repeat: '52w',
    routes: VM_NAMES.map((name, n) => ({
      name,
      match: { labels: [{ label: 'vm', value: name }] },
      channels: [channelOf(n)],
    })),
  }),
);
const lifetime = new AbortController();
await composition.start(lifetime.signal);

const count = async (table: 'announced' | 'delivery'): Promise<number> => {
  const query = db.tables<{ announced: { id: number }; delivery: { id: string; state: string } }>().selectFrom(table);
  const rows = table === 'announced' ? query.select('id') : query.select('id').where('state', '=', 'waiting');
  return (await rows.execute()).length;
};

if (mode === 'last') {
  process.stdout.write('0\n');
  while ((await count('announced')) + (await count('delivery')) > 0) await systemClock.sleep(20);
  lifetime.abort();
  await composition.stop();
  await db.close();
} else {
  const machine = createFakeMachine(VM_NAMES);
  // The host has run all the while, whoever watched it.
  await machine.clock.advance((Number(tickText) - 1) * TICK_MS);
  const rules = WORLD_RULES.map((rule) => ({ ...rule, cooldown: '0s' }));
  const { announce, announceEvent, acknowledge } = composition.use(notifications);
  const announcer = { announce, announceEvent, acknowledge };
  const daemon = await startFakeDaemon({ machine, database: db, rules, announcer });
  const ids = [...machine.vms.keys()];
  for (let tick = Number(tickText); ; tick += 1) {
    await daemon.tick(samplesAt(Number(seedText), ids, tick));
    process.stdout.write(`${tick}\n`);
    // Between two ticks lie ten seconds, in which what was announced becomes messages.
    while ((await count('announced')) > 0) await systemClock.sleep(1);
  }
}
