/** One round of telling: what is to be said about some alerts is routed, held back where a silence or a cause says so, gathered into one
 *  message per channel, and written to the outbox, all in one transaction. */

import { newId } from '#kernel/ids.ts';
import type { Transaction } from '#platform/db/database.ts';
import type { ChannelEntry } from '../channel-registry.ts';
import { digestOf } from '../channels/channel.ts';
import {
  type AlertNotice,
  isOver,
  isWorse,
  type Message,
  type TellingKind,
  type ToldAlert,
  titleOf,
  worstOf,
} from '../message.ts';
import type { RoutingView } from '../routing/routes.ts';
import { missingChannels } from '../routing/routes.ts';
import type { Silences } from '../routing/silences.ts';
import { announceEvent } from './announcements.ts';
import { type Audience, audienceOf, sparedRemark } from './audience.ts';
import { findDelivery, insertDelivery, keptBack } from './deliveries.ts';
import { takeBeginningsOut } from './ends.ts';
import type { FiringCauses } from './firing-causes.ts';
import { saveRecord, type ToldAlertRecord } from './told-alerts.ts';

/** What all rounds need of the world. */
export interface RoundFacts {
  readonly silences: Pick<Silences, 'covering' | 'countHit'>;
  readonly causes: FiringCauses;
  readonly host: string;
  nowMs(): number;
  wallMs(): number;
  origin(): string;
  view(): RoutingView<ChannelEntry>;
  /** Whether a delivery is being sent at this moment: it may have arrived already. */
  isInFlight(deliveryId: string): boolean;
}

interface Batch {
  readonly id: string;
  readonly channel: ChannelEntry;
  readonly alerts: ToldAlert[];
  readonly keys: string[];
}

export interface Round {
  /** Tells of an alert that fires, unless somebody planned quiet or its cause was told.
   *  @returns false when it was held back, or nobody takes it */
  fires(record: ToldAlertRecord, kind: TellingKind, notice: AlertNotice): Promise<boolean>;
  /** Tells those who heard that it fires that it is over. */
  ends(record: ToldAlertRecord, notice: AlertNotice): Promise<void>;
  /** To these channels, whatever routing and silences say. */
  tellThese(
    record: ToldAlertRecord,
    kind: TellingKind,
    notice: AlertNotice,
    channels: readonly ChannelEntry[],
  ): Promise<void>;
  /** A row for people: it went to nobody. */
  keepBack(
    notice: AlertNotice,
    state: 'silenced' | 'inhibited' | 'unrouted' | 'not_sent',
    remark: string,
  ): Promise<void>;
  audienceOf(notice: AlertNotice): Audience;
  /** Writes the messages. @returns how many there are */
  finish(textFor?: (channel: ChannelEntry) => string): Promise<number>;
}

/** Takes down who was spared, and for whose sake. */
export function noteSpared(
  record: ToldAlertRecord,
  spared: ReadonlyMap<string, AlertNotice>,
  cause: AlertNotice | null,
): void {
  const [speaker] = spared.values();
  const by = cause ?? speaker ?? null;
  record.spared = Object.fromEntries([...spared].map(([channelId, { fingerprint }]) => [channelId, fingerprint]));
  record.heldBy = by === null ? null : { alertId: by.fingerprint, rule: by.rule.name };
}

/** @param grp the group that the messages belong to */
export async function beginRound(tx: Transaction, grp: string, facts: RoundFacts): Promise<Round> {
  const causes = await facts.causes.read(tx);
  const batches = new Map<string, Batch>();
  const view = facts.view();
  const nowMs = facts.nowMs();
  let kept = 0;

  const batchOf = (channel: ChannelEntry): Batch => {
    const known = batches.get(channel.id);
    if (known) return known;
    const made = { id: newId('ntc', facts.wallMs()), channel, alerts: [], keys: [] };
    batches.set(channel.id, made);
    return made;
  };
  const tell = (record: ToldAlertRecord, kind: TellingKind, notice: AlertNotice, channel: ChannelEntry) => {
    const batch = batchOf(channel);
    batch.alerts.push({ kind, notice });
    batch.keys.push(`${notice.fingerprint}:${notice.episode}:${kind}:${record.tellings}`);
    if (!isOver(kind)) record.told[channel.id] = batch.id;
  };
  const keepBack: Round['keepBack'] = async (notice, state, remark) => {
    kept += 1;
    const key = digestOf(`${grp}|${notice.fingerprint}|${notice.episode}|${notice.kind}|${state}|${nowMs}|${kept}`);
    const message = keptBack(notice, key, { host: facts.host, origin: facts.origin(), atMs: facts.wallMs() });
    const id = newId('ntc', facts.wallMs());
    await insertDelivery(tx, { id, channelId: null, grp, project: notice.project, message, state, nowMs, remark });
  };
  const complainOfMissing = async (notice: AlertNotice) => {
    const missing = missingChannels(notice, view);
    if (missing.length === 0) return;
    const names = missing.map((name) => `"${name}"`).join(', ');
    const event = {
      key: `unrouted:${notice.rule.id}:${missing.join(',')}:${new Date(facts.wallMs()).toISOString().slice(0, 10)}`,
      severity: 'warning' as const,
      title: `${notice.rule.name} is sent to channels that do not exist`,
      text: `There is no channel ${names}. Where no other is named, the default takes it. Correct the rule or the routing.`,
      project: notice.project,
      labels: { event: 'unrouted' },
      exceptChannelId: null,
    };
    await announceEvent(tx, event, nowMs);
  };
  const tellThese: Round['tellThese'] = async (record, kind, notice, channels) => {
    // A state that is sent again and again says it without a message.
    for (const channel of channels.filter(({ isLoop }) => !isLoop)) tell(record, kind, notice, channel);
    record.tellings += 1;
    record.toldMs = nowMs;
    if (!isOver(kind)) {
      record.firstToldMs ??= nowMs;
      record.toldSeverity =
        record.toldSeverity !== null && isWorse(record.toldSeverity, notice.severity)
          ? record.toldSeverity
          : notice.severity;
      record.hold = null;
    }
    await saveRecord(tx, record);
  };

  const audience = (notice: AlertNotice) => audienceOf(notice, { silences: facts.silences, view, causes });

  return {
    keepBack,
    audienceOf: audience,
    tellThese,
    async fires(record, kind, notice) {
      const { hold: held, channels, spared } = audience(notice);
      if (!isOver(kind)) noteSpared(record, spared, held?.by ?? null);
      if (held) {
        const isFirst = record.hold !== held.hold || kind !== 'repeat';
        if (!isOver(kind)) record.hold = held.hold;
        await saveRecord(tx, record);
        if (!isFirst) return false;
        if (held.hold.startsWith('silence:')) await facts.silences.countHit(tx, held.hold.slice('silence:'.length));
        await keepBack(notice, held.hold === 'inhibited' ? 'inhibited' : 'silenced', held.remark);
        return false;
      }
      await complainOfMissing(notice);
      if (channels.length === 0) {
        record.hold = null;
        await saveRecord(tx, record);
        await keepBack(notice, 'unrouted', 'no channel takes it: see `hv channel list` and the routing');
        return false;
      }
      const [speaker] = spared.values();
      if (speaker !== undefined && kind !== 'repeat') {
        const names = view.channels.filter(({ id }) => spared.has(id)).map(({ name }) => name);
        await keepBack(notice, 'inhibited', `${sparedRemark(speaker)} to ${names.join(', ')}`);
      }
      await tellThese(record, kind, notice, channels);
      return true;
    },
    async ends(record, notice) {
      for (const [channelId, deliveryId] of Object.entries(record.told)) {
        const channel = view.channels.find(({ id }) => id === channelId);
        if (!channel?.isEnabled) continue;
        const isUnsent = await takeBeginningsOut(tx, channel, notice.fingerprint, facts.isInFlight);
        const row = await findDelivery(tx, deliveryId);
        if (!isUnsent && (row?.state === 'dead' || row?.state === 'not_sent')) continue;
        tell(record, isUnsent ? 'was_firing' : 'resolved', notice, channel);
      }
      record.tellings += 1;
      record.told = {};
      record.firstToldMs = null;
      record.toldSeverity = null;
      record.hold = null;
      noteSpared(record, new Map(), null);
      record.escalated = 0;
      await saveRecord(tx, record);
    },
    async finish(textFor = () => '') {
      for (const { id, channel, alerts, keys } of batches.values()) {
        const message: Message = {
          key: digestOf(`${channel.id}|${keys.sort().join('|')}`),
          thread: grp,
          kind: 'alert',
          severity: worstOf(alerts.map(({ notice }) => notice.severity)),
          title: titleOf(channel.title, alerts),
          text: textFor(channel),
          alerts,
          atMs: facts.wallMs(),
          host: facts.host,
          origin: facts.origin(),
        };
        const [first] = alerts;
        const project =
          first !== undefined && alerts.every(({ notice }) => notice.project === first.notice.project)
            ? first.notice.project
            : null;
        await insertDelivery(tx, { id, channelId: channel.id, grp, project, message, state: 'waiting', nowMs });
      }
      return batches.size;
    },
  };
}
