/** Test messages go the way of all others: into the outbox, and out of it. */

import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import type { ChannelEntry, Channels } from './channel-registry.ts';
import { digestOf } from './channels/channel.ts';
import type { DeliveryRow } from './migrations.ts';
import { findDelivery, insertDelivery } from './outbox/deliveries.ts';
import { ASKED_TEST } from './outbox/sender.ts';

export interface TestMessageDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly channels: Channels;
  readonly host: string;
  nowMs(): number;
  origin(): string;
  /** Messages were written. */
  onWritten(): void;
}

const WEEK_MS = 7 * 86_400_000;
/** A test that nobody took by then has no answer: it waits behind others. */
const ANSWER_MS = 30_000;
const LOOK_MS = 100;
/** Between two tests of one channel. */
const REST_MS = 10_000;

export function createTestMessages({ db, clock, channels, host, nowMs, origin, onWritten }: TestMessageDependencies) {
  const write = async (channel: ChannelEntry, grp: string, text: string): Promise<string> => {
    const id = newId('ntc', clock.now().getTime());
    await db.transaction(async (tx) => {
      await insertDelivery(tx, {
        id,
        channelId: channel.id,
        grp,
        project: channel.project,
        message: {
          key: digestOf(id),
          thread: grp,
          kind: 'test',
          severity: 'info',
          title: `Test message of ${host}`,
          text,
          alerts: [],
          atMs: clock.now().getTime(),
          host,
          origin: origin(),
        },
        state: 'waiting',
        nowMs: nowMs(),
      });
      await channels.recordTest(tx, channel.id, nowMs());
    });
    onWritten();
    return id;
  };
  const askedMs = new Map<string, number>();
  /** Whoever may test a channel must not flood with it whoever reads it. */
  const requireRest = ({ id, name }: ChannelEntry) => {
    const before = askedMs.get(id);
    if (before !== undefined && nowMs() - before < REST_MS)
      throw new AppError('channel_tested_just_now', {
        detail: `The channel "${name}" was tested within the last 10 s.`,
      });
    askedMs.set(id, nowMs());
  };
  return {
    /** Sends one and waits for its end; null = it still waits. @throws AppError channel_tested_just_now */
    async run(
      channel: ChannelEntry,
      by: string,
      signal: AbortSignal,
    ): Promise<{ id: string; row: DeliveryRow | null }> {
      requireRest(channel);
      const id = await write(
        channel,
        `${ASKED_TEST}${channel.id}`,
        `${by} asked for this test. The channel ${channel.name} works.`,
      );
      const deadline = clock.monotonicMs() + ANSWER_MS;
      while (clock.monotonicMs() < deadline && !signal.aborted) {
        const row = await findDelivery(db, id);
        if (row !== undefined && row.state !== 'waiting') return { id, row };
        await clock.sleep(LOOK_MS, signal).catch(() => undefined);
      }
      return { id, row: null };
    },
    /** Once a week for each channel. */
    async weekly(): Promise<void> {
      const states = await channels.states();
      for (const channel of channels.all()) {
        const testedMs = states.get(channel.id)?.tested_ms ?? null;
        if (!channel.isEnabled || (testedMs !== null && nowMs() - testedMs < WEEK_MS)) continue;
        await write(channel, `weekly-test:${channel.id}`, `The weekly test. The channel ${channel.name} works.`);
      }
    },
  };
}
