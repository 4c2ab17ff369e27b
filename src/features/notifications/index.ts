/** Notifications: what alerts and other features announce, as messages to people and services, each exactly where it belongs and not oftener.
 *  Tables: channel, channel_state, announced, notice_group, told_alert, delivery, silence, notification_routing.
 *  Events out: channel.changed, silence.changed, notice.changed. Events in: project.removed. Permissions: alert.read, alert.ack, alert.configure.
 *  Guide: docs/guides/notifications.md */

import { hostname } from 'node:os';
import { join } from 'node:path';
import { notificationErrors } from '#contract/notifications.ts';
import { projects } from '#features/projects/index.ts';
import { createQueue, createWaker } from '#kernel/async.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Transaction } from '#platform/db/database.ts';
import { defineFeature } from '#platform/feature.ts';
import { createSecretSeal } from '#platform/sealed-secrets.ts';
import { createNotificationRoutes } from './api-routes.ts';
import { channelObject, createChannels } from './channel-registry.ts';
import { ALERTMANAGER_EVERY_MS } from './channels/alertmanager.ts';
import { type ConfiguredChannel, configuredChannels } from './configured-channels.ts';
import { createDeadMan, PING_EVERY_MS } from './dead-man.ts';
import { createHeartbeats } from './heartbeats.ts';
import { createHeldAlerts, type HeldListener } from './held-alerts.ts';
import type { AlertNotice } from './message.ts';
import { notificationMetrics } from './metrics.ts';
import { notificationMigrations } from './migrations.ts';
import { createNotices } from './notices.ts';
import { createAlertmanagerLoop } from './outbox/alertmanager-loop.ts';
import { type AnnouncedEvent, announceAlert, announceEvent } from './outbox/announcements.ts';
import { trimDeliveries } from './outbox/deliveries.ts';
import { createDispatcher } from './outbox/dispatcher.ts';
import { createFiringCauses } from './outbox/firing-causes.ts';
import { createFollowUp } from './outbox/follow-up.ts';
import type { RoundFacts } from './outbox/round.ts';
import { createSender } from './outbox/sender.ts';
import { acknowledge, type HeldBy, settleTimes } from './outbox/told-alerts.ts';
import { createOutside } from './outside.ts';
import { createSilences, silenceObject } from './routing/silences.ts';
import { createRoutingStore } from './routing-store.ts';
import { createSteadyClock } from './steady-clock.ts';
import { createTestMessages } from './test-messages.ts';

export type { AlertNotice } from './message.ts';
export type { AnnouncedEvent } from './outbox/announcements.ts';

export interface NotificationsApi {
  /** Inside the transaction in which an alert changed its state. */
  announce(tx: Transaction, notice: AlertNotice): Promise<void>;
  /** What no rule told of: acts of healing, messages given up, updates. Twice under one key is once. */
  announceEvent(tx: Transaction, event: AnnouncedEvent): Promise<void>;
  /** Somebody knows of it: repeats and escalation stop until it is over or gets worse. */
  acknowledge(tx: Transaction, fingerprint: string): Promise<void>;
  /** The alert for whose sake somebody is not told of this one: it tells the same, or is its cause. As of some seconds ago. */
  heldBy(fingerprint: string): HeldBy | null;
  /** Tells when that changes. Returns what ends it. */
  onHeld(listener: HeldListener): () => void;
  /** The sign of life to the service outside says that something is wrong while this answers false. Returns what ends it. */
  watch(what: string, isHealthy: () => boolean): () => void;
  /** Whether a rule of this project (null = the system) may send through a channel of this name or id. */
  channelExists(idOrName: string, project: string | null): boolean;
  /** Asks before a channel is removed or renamed who sends through it: the answer names each in words. Call it while setting up. */
  onChannelUse(
    usesOf: (channel: {
      readonly id: string;
      readonly name: string;
      readonly project: string | null;
    }) => readonly string[],
  ): void;
  /** For the health checks. */
  health(): Promise<{ readonly oldestWaitingMs: number; readonly dead: number; readonly hasDeadMan: boolean }>;
}

/** Longest sleep of the loops; they are woken when there is something to do. */
const IDLE_MS = 30_000;
const FOLLOW_UP_MS = 10_000;
const TRIM_MS = 3_600_000;
const FORGET_MS = 30 * 86_400_000;
/** After a failure of our own, as a database that cannot be written. */
const TROUBLE_MS = 5_000;
/** The dead man's sign says that messages are stuck. */
const STUCK_MS = 10 * 60_000;

export const notifications = defineFeature<NotificationsApi>({
  name: 'notifications',
  needs: ['projects'],
  migrations: notificationMigrations,
  errors: notificationErrors,
  setup({ config, db, clock, calendar, events, log, address, use }) {
    const registry = use(projects);
    const steady = createSteadyClock(clock);
    const wallMs = () => clock.now().getTime();
    const origin = () => address().origin;
    const host = hostname();
    const seal = createSecretSeal(join(config.state.root, 'notifications', 'secrets.key'));
    const channels = createChannels({ db, clock, seal });
    const silences = createSilences(db, clock);
    const routing = createRoutingStore(db);

    const announcing = createWaker(clock);
    const sending = createWaker(clock);
    const following = createWaker(clock);
    const stating = createWaker(clock);
    const wakeAll = () => {
      for (const waker of [announcing, sending, following, stating]) waker.wake();
    };

    const outside = createOutside({ allowPrivateHosts: config.notifications.allowPrivateHosts, clock });
    const sender = createSender({
      db,
      clock,
      log,
      channels,
      outside: outside.forChannel,
      nowMs: steady.nowMs,
      random: Math.random,
      onIdle: () => {
        sending.wake();
        announcing.wake();
      },
      onChange: ({ id, project }) => events.emit('notice.changed', { id, project }),
    });
    const facts: RoundFacts = {
      causes: createFiringCauses(),
      silences,
      host,
      nowMs: steady.nowMs,
      wallMs,
      origin,
      isInFlight: sender.isInFlight,
      view: () => ({
        routes: routing.current().routes,
        channels: channels.all(),
        projectName: (id) => registry.get(id)?.name ?? null,
        now: () => clock.now(),
      }),
    };
    const onWritten = () => sending.wake();
    const common = { db, facts, routing: routing.current, onWritten };
    const dispatcher = createDispatcher(common);
    const followUp = createFollowUp({ ...common, reasonOf: silences.reasonOf });
    const stateLoop = createAlertmanagerLoop({ db, log, channels, facts, outside: outside.forChannel });
    const tests = createTestMessages({ db, clock, channels, host, nowMs: steady.nowMs, origin, onWritten });
    const notices = createNotices({ db, channel: channels.get, nowMs: steady.nowMs, wallMs });
    const held = createHeldAlerts(db);
    const figures = notificationMetrics(db, steady.nowMs);
    const heartbeats = createHeartbeats(steady.nowMs, STUCK_MS);
    const deadManUrl = config.notifications.deadManUrl ?? null;
    const deadMan = createDeadMan(deadManUrl, outside.forAddress, log);
    let oldestWaitingMs = 0;
    let work: Promise<unknown> = Promise.resolve();
    const subscriptions: (() => void)[] = [];
    const users: Parameters<NotificationsApi['onChannelUse']>[0][] = [];
    const cleaning = createQueue();
    /** What was only about a project goes with it. */
    const forgetProjects = () =>
      cleaning(async () => {
        const isGone = ({ project }: { readonly project: string | null }) =>
          project !== null && registry.get(project) === null;
        for (const entry of channels.all().filter(isGone)) await channels.remove(entry);
        for (const silence of silences.all().filter(isGone)) await silences.remove(silence.id);
      });

    /** Runs `act` whenever it is woken, and after what it answers; what fails is tried again soon. */
    const loop = async (
      what: string,
      waker: ReturnType<typeof createWaker>,
      signal: AbortSignal,
      act: () => Promise<number>,
    ) => {
      heartbeats.expect(what);
      while (!signal.aborted) {
        const waitMs = await act().then(
          (ms) => {
            heartbeats.beat(what, ms);
            return ms;
          },
          (error: unknown) => {
            if (!signal.aborted) log.error({ err: error }, `${what} failed: ${messageOf(error)}`);
            return TROUBLE_MS;
          },
        );
        await waker.wait(waitMs, signal);
      }
    };
    const until = (atMs: number | null): number =>
      atMs === null ? IDLE_MS : Math.min(IDLE_MS, Math.max(50, atMs - steady.nowMs()));

    return {
      api: {
        async announce(tx, notice) {
          await announceAlert(tx, notice, steady.nowMs());
          tx.afterCommit(() => {
            announcing.wake();
            stating.wake();
          });
        },
        async announceEvent(tx, event) {
          await announceEvent(tx, { ...event, exceptChannelId: null }, steady.nowMs());
          tx.afterCommit(announcing.wake);
        },
        acknowledge,
        heldBy: held.of,
        onHeld: held.listen,
        watch: deadMan.watch,
        channelExists(idOrName, project) {
          const entry = channels.get(idOrName);
          return entry !== null && (project === null || entry.project === null || entry.project === project);
        },
        onChannelUse: (usesOf) => void users.push(usesOf),
        health: async () => ({
          ...(await figures.read()),
          hasDeadMan: deadMan.isConfigured,
        }),
      },
      handlers: createNotificationRoutes({
        channels,
        silences,
        routing,
        notices,
        tests,
        projects: registry,
        clock,
        usesOf: (channel) => users.flatMap((usesOf) => usesOf(channel)),
        wake: wakeAll,
        changed: (what, id, project) => events.emit(`${what}.changed`, { id, project }),
      }),
      resolvers: {
        channel(idOrName) {
          const entry = channels.get(idOrName);
          return entry === null ? null : channelObject(entry);
        },
        silence(id) {
          const silence = silences.get(id);
          return silence === null ? null : silenceObject(silence);
        },
      },
      metrics: figures.families,
      async start() {
        const configured: readonly ConfiguredChannel[] = await configuredChannels(config);
        await channels.load(configured);
        await silences.load();
        await routing.load();
        await held.look();
        const isDateSure = calendar.leap() === null;
        await settleTimes(db, steady.nowMs(), isDateSure ? steady.nowMs() - FORGET_MS : null);
        // Of a project that went while this could not be done.
        await forgetProjects();
        subscriptions.push(
          events.on('project.removed', () => {
            forgetProjects().catch((error: unknown) =>
              log.warn({ err: error }, `channels of a removed project could not be removed: ${messageOf(error)}`),
            );
          }),
        );
        // What is announced and cannot be told, and a database that cannot be asked, show in work that does not come round.
        deadMan.watch('messages', () => oldestWaitingMs < STUCK_MS && heartbeats.isAlive());
      },
      async resume(signal) {
        work = Promise.all([
          loop('telling what was announced', announcing, signal, async () => until(await dispatcher.run())),
          loop('sending messages', sending, signal, async () => until(await sender.run(signal))),
          loop('following up alerts', following, signal, async () => {
            await followUp.run();
            await held.look();
            if (routing.current().weeklyTest) await tests.weekly();
            oldestWaitingMs = (await figures.read()).oldestWaitingMs;
            return FOLLOW_UP_MS;
          }),
          loop('telling Alertmanagers', stating, signal, async () => {
            await stateLoop.run(signal);
            return ALERTMANAGER_EVERY_MS;
          }),
          loop('the sign of life', createWaker(clock), signal, async () => {
            await deadMan.ping(signal);
            return PING_EVERY_MS;
          }),
          loop('trimming the outbox', createWaker(clock), signal, async () => {
            await trimDeliveries(db);
            if (calendar.leap() === null) await silences.trim();
            return TRIM_MS;
          }),
        ]);
      },
      async stop() {
        for (const endOne of subscriptions.splice(0)) endOne();
        await work;
        await cleaning(async () => undefined);
        await sender.settled();
      },
    };
  },
});
