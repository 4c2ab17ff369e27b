/** Sends what waits: one message of a channel after the other, channels side by side. Every attempt of a message carries the same key.
 *  What is not taken comes back later; what is refused or waited too long is given up, and told through the other channels. */

import type { Clock } from '#kernel/clock.ts';
import { messageOf as textOfError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { Secrets } from '#platform/sealed-secrets.ts';
import type { ChannelEntry, Channels } from '../channel-registry.ts';
import { type Progress, SendError } from '../channels/channel.ts';
import { CHANNEL_TYPES } from '../channels/index.ts';
import type { DeliveryRow, NotificationTables } from '../migrations.ts';
import type { OutsideOf } from '../outside.ts';
import { redact } from '../text.ts';
import { announceEvent } from './announcements.ts';
import { giveUpAfterMs, pauseMs } from './back-off.ts';
import { findDelivery, messageOfRow, sentSince, waitingDeliveries } from './deliveries.ts';
import { mergeIntoDigest } from './digest.ts';
import { foldEnds } from './ends.ts';
import { HOUR_MS, isDigestDue, isWithinCap } from './rate-cap.ts';

export interface SenderDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Logger;
  readonly channels: Channels;
  readonly outside: OutsideOf;
  nowMs(): number;
  random(): number;
  /** A channel is done for now: look again. */
  onIdle(): void;
  /** A delivery has a new state. */
  onChange(delivery: Pick<DeliveryRow, 'id' | 'project'>): void;
}

const CHANNELS_AT_ONCE = 16;
/** After a failure of our own, as a database that cannot be written. */
const TROUBLE_MS = 5_000;
/** How long what is over the cap waits before it is looked at again. */
const CAP_LOOK_MS = 30_000;

export interface Sender {
  /** Lets every channel that is at rest send what is due; a slow one keeps no other waiting.
   *  @returns when to look again, as the steady clock; null = when something is written */
  run(lifetime: AbortSignal): Promise<number | null>;
  /** Resolves when nothing is being sent. */
  settled(): Promise<void>;
  isInFlight(deliveryId: string): boolean;
}

/** Group of tests that somebody asked for. */
export const ASKED_TEST = 'test:';

type Waiting = Awaited<ReturnType<typeof waitingDeliveries>>[number];

export function createSender(dependencies: SenderDependencies): Sender {
  const { db, clock, log, channels, outside, nowMs, random, onIdle, onChange } = dependencies;
  const inFlight = new Set<string>();
  const tables = () => db.tables<NotificationTables>();

  const end = async (row: Pick<DeliveryRow, 'id' | 'project'>, state: 'not_sent' | 'dead', error: string) => {
    await tables().updateTable('delivery').set({ state, last_error: error }).where('id', '=', row.id).execute();
    onChange(row);
  };

  /** Counts the attempt before it is made, and reads the message as it is now. */
  const claim = (id: string): Promise<DeliveryRow | null> =>
    db.transaction(async (tx) => {
      const row = await findDelivery(tx, id);
      if (row?.state !== 'waiting') return null;
      await tx
        .tables<NotificationTables>()
        .updateTable('delivery')
        .set({ attempts: row.attempts + 1 })
        .where('id', '=', id)
        .execute();
      return { ...row, attempts: row.attempts + 1 };
    });

  const succeed = async (row: DeliveryRow, channel: ChannelEntry, remark: string | null) => {
    await db.transaction(async (tx) => {
      await tx
        .tables<NotificationTables>()
        .updateTable('delivery')
        .set({ state: 'sent', sent_ms: nowMs(), sent_at: clock.now().toISOString(), last_error: remark })
        .where('id', '=', row.id)
        .execute();
      await channels.recordResult(tx, channel.id, null);
    });
    onChange(row);
  };

  const fail = async (row: DeliveryRow, channel: ChannelEntry, failure: SendError, error: string) => {
    const pause = pauseMs(row.attempts, failure.retryAfterMs, random());
    const waitedMs = row.waited_ms + pause;
    // Whoever asked for a test waits for its answer; a weekly one is a message like any other.
    const isAskedFor = row.grp.startsWith(ASKED_TEST);
    const isGivenUp = failure.isPermanent || isAskedFor || waitedMs > giveUpAfterMs(row.severity);
    await db.transaction(async (tx) => {
      await tx
        .tables<NotificationTables>()
        .updateTable('delivery')
        .set({
          state: isGivenUp ? 'dead' : 'waiting',
          last_error: error,
          waited_ms: waitedMs,
          next_ms: nowMs() + pause,
        })
        .where('id', '=', row.id)
        .execute();
      await channels.recordResult(tx, channel.id, error);
      const after = await findDelivery(tx, row.id);
      if (after) await foldEnds(tx, after, channel);
      // A complaint about a complaint would go round in circles.
      if (!isGivenUp || isAskedFor || row.grp.startsWith('event:channel_failing:')) return;
      await announceEvent(
        tx,
        {
          key: `channel_failing:${channel.id}:${clock.now().toISOString().slice(0, 10)}`,
          severity: row.severity === 'critical' ? 'critical' : 'warning',
          title: `The channel ${channel.name} does not take messages`,
          text: `"${row.title}" was given up after ${row.attempts} attempts: ${error}. \`hv notice list --state dead\` lists what it missed.`,
          project: channel.project,
          labels: { event: 'notify_channel_failing', channel: channel.name },
          exceptChannelId: channel.id,
        },
        nowMs(),
      );
    });
    log.warn(
      { channel: channel.id, notice: row.id, attempts: row.attempts, isGivenUp },
      `a message was not taken: ${error}`,
    );
    onChange(row);
  };

  const attempt = async (id: string, channel: ChannelEntry, lifetime: AbortSignal) => {
    inFlight.add(id);
    try {
      const row = await claim(id);
      if (row === null) return;
      const result = await deliver(channel, row, lifetime);
      if (lifetime.aborted && result.failure !== null) return;
      if (result.failure === null) await succeed(row, channel, result.remark);
      else await fail(row, channel, result.failure, result.remark ?? result.failure.message);
    } finally {
      inFlight.delete(id);
    }
  };

  const deliver = async (channel: ChannelEntry, row: DeliveryRow, lifetime: AbortSignal) => {
    let secrets: Secrets = {};
    const { attemptMs } = CHANNEL_TYPES[channel.kind];
    const progress: Progress = {
      done: row.progress,
      async advance(done) {
        await tables().updateTable('delivery').set({ progress: done }).where('id', '=', row.id).execute();
      },
    };
    try {
      const opened = channels.open(channel);
      secrets = opened.secrets;
      const signal = AbortSignal.any([lifetime, AbortSignal.timeout(attemptMs)]);
      const remark = await opened.channel.send(messageOfRow(row), outside(signal, channel), progress);
      return { failure: null, remark: remark === null ? null : redact(remark, Object.values(secrets)) };
    } catch (error) {
      const isTimeout = error instanceof Error && error.name === 'TimeoutError';
      const text = isTimeout ? `no answer within ${attemptMs / 1000} s` : textOfError(error);
      const failure = error instanceof SendError ? error : new SendError(text, { isPermanent: false });
      return { failure, remark: redact(text, Object.values(secrets)).slice(0, 500) };
    }
  };

  const runChannel = async (
    channelId: string | null,
    rows: readonly Waiting[],
    lifetime: AbortSignal,
  ): Promise<void> => {
    const channel = channelId === null ? null : channels.get(channelId);
    if (channel === null || channel.id !== channelId || !channel.isEnabled) {
      const isOff = channel !== null && channel.id === channelId;
      for (const row of rows) {
        const whole = await findDelivery(db, row.id);
        if (whole) await end(whole, 'not_sent', isOff ? 'the channel is switched off' : 'the channel was removed');
      }
      return;
    }
    const overCap: string[] = [];
    for (const row of rows) {
      if (lifetime.aborted) return;
      if (row.next_ms > nowMs()) continue;
      const isCounted = row.kind === 'alert' || row.kind === 'event';
      if (isCounted && !isWithinCap(row.severity, await sentSince(db, channel.id, nowMs() - HOUR_MS)))
        overCap.push(row.id);
      else await attempt(row.id, channel, lifetime);
    }
    if (overCap.length === 0) return;
    const isWaiting = rows.some(({ kind }) => kind === 'digest');
    if (!isWaiting && isDigestDue(await sentSince(db, channel.id, nowMs() - HOUR_MS), nowMs()))
      await mergeIntoDigest(db, channel.id, overCap, { wallMs: clock.now().getTime(), nowMs: nowMs() });
    else
      await tables()
        .updateTable('delivery')
        .set({ next_ms: nowMs() + CAP_LOOK_MS })
        .where('id', 'in', overCap)
        .where('state', '=', 'waiting')
        .execute();
  };

  const active = new Map<string | null, Promise<void>>();
  /** Until when a channel that could not be worked on is left alone. */
  const restUntilMs = new Map<string | null, number>();
  const begin = (id: string | null, rows: readonly Waiting[], lifetime: AbortSignal) => {
    const work = runChannel(id, rows, lifetime)
      .catch((error: unknown) => {
        log.error({ err: error, channel: id }, `sending through a channel failed: ${textOfError(error)}`);
        restUntilMs.set(id, nowMs() + TROUBLE_MS);
      })
      .then(() => {
        active.delete(id);
        onIdle();
      });
    active.set(id, work);
  };

  return {
    isInFlight: (id) => inFlight.has(id),
    async run(lifetime) {
      const byChannel = new Map<string | null, Waiting[]>();
      for (const row of await waitingDeliveries(db))
        byChannel.set(row.channel_id, [...(byChannel.get(row.channel_id) ?? []), row]);
      for (const [id, untilMs] of restUntilMs) if (untilMs <= nowMs()) restUntilMs.delete(id);
      let soonest = Number.POSITIVE_INFINITY;
      for (const [id, rows] of byChannel) {
        const dueMs = Math.max(Math.min(...rows.map(({ next_ms }) => next_ms)), restUntilMs.get(id) ?? 0);
        if (dueMs > nowMs()) soonest = Math.min(soonest, dueMs);
        else if (!active.has(id) && active.size < CHANNELS_AT_ONCE) begin(id, rows, lifetime);
      }
      return Number.isFinite(soonest) ? soonest : null;
    },
    async settled() {
      await Promise.all(active.values());
    },
  };
}
