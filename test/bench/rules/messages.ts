/** A thousand alerts at once, from the moment they are known to the last message at a receiver: ours, with everything written down before
 *  it is sent, beside Debian's Alertmanager, which keeps it in memory. Twenty messages of fifty alerts from both. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
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
import { freePort } from '#test/support/free-port.ts';
import type { Measurement } from '../../../scripts/test/bench.ts';
import { cpuSecondsOf } from '../daemon/figures.ts';

const RULES = 20;
const VMS = 50;
const ROUNDS = 5;
const DEADLINE_MS = 60_000;

/** Milliseconds of processor time for all alerts of a round. */
export async function measureMessages(): Promise<Measurement> {
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-messages-'));
  try {
    await using receiver = await startReceiver();
    // In turns, because what else the machine does makes both dearer.
    await using ours = await startOurs(dir, receiver.origin);
    await using theirs = await startAlertmanager(dir, receiver.origin);
    let [oursMs, theirsMs] = [0, 0];
    for (let round = 0; round < ROUNDS; round += 1) {
      oursMs += await ours.send(round, receiver);
      theirsMs += await theirs.send(round, receiver);
    }
    return {
      name: `${RULES * VMS} alerts announced, grouped and sent | Alertmanager`,
      ours: oursMs / ROUNDS,
      rival: theirsMs / ROUNDS,
      ratio: oursMs / theirsMs,
      bar: '–',
      unit: 'ms CPU',
    };
  } finally {
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

interface Receiver extends AsyncDisposable {
  readonly origin: string;
  /** Resolves when that many alerts came since the start. */
  reached(alerts: number): Promise<void>;
  /** So far. */
  alerts(): Promise<number>;
}

interface Teller extends AsyncDisposable {
  /** Tells the alerts of a round and waits until all are at the receiver. @returns processor time in milliseconds */
  send(round: number, receiver: Receiver): Promise<number>;
}

const countSchema = z.object({ alerts: z.number() });

async function startReceiver(): Promise<Receiver> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'receiver.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [port] = await once(createInterface(child.stdout), 'line');
  const origin = `http://127.0.0.1:${port}`;
  const alerts = async () => countSchema.parse(await (await fetch(origin)).json()).alerts;
  return {
    origin,
    alerts,
    async reached(count) {
      const endMs = performance.now() + DEADLINE_MS;
      while ((await alerts()) < count) {
        if (performance.now() > endMs) throw new Error(`only ${await alerts()} of ${count} alerts came`);
        await sleep(50);
      }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

async function startOurs(dir: string, origin: string): Promise<Teller> {
  registerErrors(notificationErrors);
  const db = openDatabase(join(dir, 'state.db'));
  db.migrate('notifications', notificationMigrations);
  const channels = createChannels({ db, clock, seal: createSecretSeal(join(dir, 'secrets.key')) });
  await channels.load([]);
  // One for each round: a channel takes so many messages in an hour.
  for (let round = 0; round < ROUNDS; round += 1)
    await channels.add({ name: `c${round}`, kind: 'webhook', project: null, secrets: { url: `${origin}/c${round}` } });
  const steady = createSteadyClock(clock);
  await settleTimes(db, steady.nowMs(), null);
  const fetcher = createFetcher({ allowPrivateHosts: ['127.0.0.1'], limits: { headersMs: 5000, textMs: 5000 } });
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
    random: Math.random,
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
  const lifetime = new AbortController();
  const busyMs = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  return {
    async send(round, receiver) {
      const count = (await receiver.alerts()) + RULES * VMS;
      const before = busyMs();
      await db.transaction(async (tx) => {
        for (const { rule, vm } of alertsOf(round))
          await announceAlert(
            tx,
            noticeOf({
              fingerprint: `${rule}-${vm}`,
              rule: { id: rule, name: rule, channels: [`c${round}`], cooldownMs: 0 },
              labels: { vm, host: 'node1' },
              entity: { kind: 'vm', name: vm },
            }),
            steady.nowMs(),
          );
      });
      await dispatcher.run();
      await sender.run(lifetime.signal);
      await sender.settled();
      const costMs = busyMs() - before;
      await receiver.reached(count);
      return costMs;
    },
    async [Symbol.asyncDispose]() {
      lifetime.abort();
      await db.close();
    },
  };
}

async function startAlertmanager(dir: string, origin: string): Promise<Teller> {
  await writeFile(
    join(dir, 'alertmanager.yml'),
    `route: {receiver: all, group_by: [alertname], group_wait: 5s, group_interval: 5m}
receivers: [{name: all, webhook_configs: [{url: '${origin}/'}]}]
`,
  );
  const port = await freePort();
  const child = spawn(
    'prometheus-alertmanager',
    [
      `--config.file=${join(dir, 'alertmanager.yml')}`,
      `--storage.path=${join(dir, 'alertmanager')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--cluster.listen-address=',
    ],
    { stdio: 'ignore' },
  );
  const exited = once(child, 'exit');
  const { pid } = child;
  if (pid === undefined) throw new Error('prometheus-alertmanager does not start');
  const base = `http://127.0.0.1:${port}`;
  const endMs = performance.now() + DEADLINE_MS;
  while (!(await fetch(`${base}/-/ready`).catch(() => null))?.ok) {
    if (performance.now() > endMs) throw new Error('prometheus-alertmanager does not get ready');
    await sleep(100);
  }
  return {
    async send(round, receiver) {
      const count = (await receiver.alerts()) + RULES * VMS;
      const body = JSON.stringify(
        alertsOf(round).map(({ rule, vm }) => ({
          labels: { alertname: rule, vm, host: 'node1', severity: 'warning' },
        })),
      );
      const before = await cpuSecondsOf(pid);
      const { ok, status } = await fetch(`${base}/api/v2/alerts`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      if (!ok) throw new Error(`Alertmanager answers ${status}`);
      await receiver.reached(count);
      return ((await cpuSecondsOf(pid)) - before) * 1000;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

const alertsOf = (round: number) =>
  Array.from({ length: RULES * VMS }, (_, n) => ({ rule: `rule-${round}-${n % RULES}`, vm: `vm${n}` }));
