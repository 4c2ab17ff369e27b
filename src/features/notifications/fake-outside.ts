/** For tests: the outbox on a real database with a clock that is moved by hand, and an outside that remembers what was sent to it. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { notificationErrors, type Routing, routingSchema } from '#contract/notifications.ts';
import { TestClock } from '#kernel/clock.ts';
import { registerErrors } from '#kernel/errors.ts';
import { silentLogger } from '#kernel/logger.ts';
import { type Database, openDatabase } from '#platform/db/database.ts';
import type { CallOptions, CallResult } from '#platform/fetch/index.ts';
import { createSecretSeal } from '#platform/sealed-secrets.ts';
import type { Mail } from '#platform/smtp.ts';
import { createChannels } from './channel-registry.ts';
import type { Outside } from './channels/channel.ts';
import type { AlertNotice } from './message.ts';
import { notificationMetrics } from './metrics.ts';
import { notificationMigrations } from './migrations.ts';
import { createNotices } from './notices.ts';
import { createAlertmanagerLoop } from './outbox/alertmanager-loop.ts';
import { type AnnouncedEvent, announceAlert, announceEvent } from './outbox/announcements.ts';
import { createDispatcher } from './outbox/dispatcher.ts';
import { createFiringCauses } from './outbox/firing-causes.ts';
import { createFollowUp } from './outbox/follow-up.ts';
import type { RoundFacts } from './outbox/round.ts';
import { createSender } from './outbox/sender.ts';
import { acknowledge, settleTimes } from './outbox/told-alerts.ts';
import { createSilences } from './routing/silences.ts';
import { createSteadyClock } from './steady-clock.ts';
import { createTestMessages } from './test-messages.ts';

registerErrors(notificationErrors);

export interface SentCall {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string;
  readonly text: string;
}

export type Answer = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
};

export function noticeOf(
  change: Partial<Omit<AlertNotice, 'rule'>> & { rule?: Partial<AlertNotice['rule']> } = {},
): AlertNotice {
  const { rule, ...rest } = change;
  return {
    fingerprint: 'fp-web1',
    episode: 1,
    kind: 'firing',
    rule: {
      id: 'rule-1',
      name: 'vm_down',
      condition: 'vm_state != running',
      metrics: ['vm_state', 'vm_state_desired'],
      isEvent: false,
      project: null,
      cooldownMs: 30 * 60_000,
      channels: null,
      ...rule,
    },
    severity: 'warning',
    labels: { vm: 'web1' },
    entity: { kind: 'vm', name: 'web1' },
    project: null,
    host: 'node1',
    value: 1,
    valueText: 'crashed',
    startedAtMs: Date.parse('2026-01-01T10:02:00Z'),
    endedAtMs: null,
    text: '',
    ...rest,
  };
}

export const resolved = (notice: AlertNotice): AlertNotice => ({
  ...notice,
  kind: 'resolved',
  endedAtMs: notice.startedAtMs + 7 * 60_000,
});

/** @param answer of the receivers to each request
 *  @param real what to send through instead */
export async function startOutbox(
  answer: (call: SentCall) => Answer | Promise<Answer> = () => ({ status: 200 }),
  real: Outside | null = null,
) {
  const folder = mkdtempSync(join(tmpdir(), 'hv-outbox-'));
  const db: Database = openDatabase(join(folder, 'state.db'));
  db.migrate('notifications', notificationMigrations);
  const clock = new TestClock();
  const steady = createSteadyClock(clock);
  const seal = createSecretSeal(join(folder, 'secrets.key'));
  const channels = createChannels({ db, clock, seal });
  const silences = createSilences(db, clock);
  const calls: SentCall[] = [];
  const mails: Mail[] = [];
  let routing: Routing = routingSchema.parse({});

  const call = async (options: CallOptions): Promise<CallResult> => {
    const headers = options.headers ?? {};
    const text = Buffer.from(options.body ?? '').toString();
    const sent = { url: options.url, headers, key: headers['idempotency-key'] ?? '', text };
    calls.push(sent);
    const { status, headers: answered = {}, body = '{"ok":true}' } = await answer(sent);
    return { status, header: (name) => answered[name] ?? null, body: Buffer.from(body) };
  };
  const fake = (signal: AbortSignal): Outside => ({
    fetcher: () => ({ call }),
    mail: async (_server, mail) => {
      mails.push(mail);
      return { refused: [] };
    },
    nowMs: () => clock.now().getTime(),
    signal,
  });
  const outside = (signal: AbortSignal): Outside => real ?? fake(signal);
  const sender = createSender({
    db,
    clock,
    log: silentLogger,
    channels,
    outside,
    nowMs: steady.nowMs,
    random: () => 0.999,
    onIdle: () => undefined,
    onChange: () => undefined,
  });
  const facts: RoundFacts = {
    causes: createFiringCauses(),
    silences,
    host: 'node1',
    nowMs: steady.nowMs,
    wallMs: () => clock.now().getTime(),
    origin: () => 'https://node1.example',
    isInFlight: sender.isInFlight,
    view: () => ({ routes: routing.routes, channels: channels.all(), projectName: (id) => id, now: () => clock.now() }),
  };
  const common = { db, facts, routing: () => routing, onWritten: () => undefined };
  let dispatcher = createDispatcher(common);
  let followUp = createFollowUp({ ...common, reasonOf: silences.reasonOf });
  const loop = createAlertmanagerLoop({ db, log: silentLogger, channels, facts, outside });
  const notices = createNotices({
    db,
    channel: channels.get,
    nowMs: steady.nowMs,
    wallMs: () => clock.now().getTime(),
  });
  const tests = createTestMessages({
    db,
    clock,
    channels,
    host: 'node1',
    nowMs: steady.nowMs,
    origin: facts.origin,
    onWritten: () => undefined,
  });
  const lifetime = new AbortController();
  await channels.load([]);

  /** Everything that is due now. */
  const work = async () => {
    await followUp.run();
    await dispatcher.run();
    for (let before = -1; before !== calls.length; ) {
      before = calls.length;
      await sender.run(lifetime.signal);
      await sender.settled();
    }
    // A digest is written by the round before.
    await sender.run(lifetime.signal);
    await sender.settled();
  };
  return {
    db,
    clock,
    channels,
    silences,
    calls,
    mails,
    notices,
    figures: notificationMetrics(db, steady.nowMs),
    facts,
    outside,
    nowMs: steady.nowMs,
    tests,
    loop,
    dispatcher: { run: () => dispatcher.run() },
    sender,
    work,
    /** What was only in memory is gone. */
    restart() {
      dispatcher = createDispatcher(common);
      followUp = createFollowUp({ ...common, reasonOf: silences.reasonOf });
    },
    route(next: unknown) {
      routing = routingSchema.parse(next);
    },
    announce: (...announced: readonly AlertNotice[]) =>
      db.transaction(async (tx) => {
        for (const notice of announced) await announceAlert(tx, notice, steady.nowMs());
      }),
    announceEvent: (event: AnnouncedEvent) =>
      db.transaction((tx) => announceEvent(tx, { ...event, exceptChannelId: null }, steady.nowMs())),
    acknowledge: (fingerprint: string) => db.transaction((tx) => acknowledge(tx, fingerprint)),
    settle: () => settleTimes(db, steady.nowMs(), null),
    /** Moves the clock in steps and does what is due at each. */
    async pass(ms: number, stepMs = 5000) {
      for (let passed = 0; passed < ms; passed += stepMs) {
        await clock.advance(Math.min(stepMs, ms - passed));
        await work();
      }
    },
    hook: (name: string, more: { project?: string; title?: string } = {}) =>
      channels.add({
        name,
        kind: 'webhook',
        project: more.project ?? null,
        title: more.title ?? null,
        secrets: { url: `https://${name}.example/very-secret-path` },
      }),
    list: async () => (await notices.list({ limit: 1000, projects: null, seesChannel: () => true })).items,
    /** Opens what was sent, as its receiver does. */
    alertsOf: (sent: SentCall): { status: string; kind: string; alerts: { kind: string; fingerprint: string }[] } =>
      JSON.parse(sent.text),
    async close() {
      lifetime.abort();
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
