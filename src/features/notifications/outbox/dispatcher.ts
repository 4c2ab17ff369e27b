/** Turns what was announced into messages: waits until a group is gathered, folds what happened meanwhile, and lets a round tell it. */

import { durationMs } from '#contract/alerts-config.ts';
import type { Routing } from '#contract/notifications.ts';
import { newId } from '#kernel/ids.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { digestOf } from '../channels/channel.ts';
import { type AlertNotice, isWorse, type TellingKind } from '../message.ts';
import { waitForSpeakerMs } from '../routing/precedence.ts';
import { channelsFor } from '../routing/routes.ts';
import { cleanLine } from '../text.ts';
import {
  type Announced,
  announcedOnes,
  forgetAnnounced,
  groupsTold,
  type KeptEvent,
  markGroupTold,
} from './announcements.ts';
import { silencedRemark } from './audience.ts';
import { insertDelivery } from './deliveries.ts';
import { beginRound, type Round, type RoundFacts } from './round.ts';
import { findRecord, type ToldAlertRecord } from './told-alerts.ts';

export interface DispatcherDependencies {
  readonly db: Database;
  readonly facts: RoundFacts;
  routing(): Routing;
  /** Messages were written. */
  onWritten(): void;
}

/** What several notices of one fingerprint come to. */
interface Fold {
  readonly kind: TellingKind;
  readonly notice: AlertNotice;
}

/** @param isTold whether anybody was told of the episode before these */
export const fold = (notices: readonly AlertNotice[], isTold: boolean): Fold | null =>
  notices.reduce<Fold | null>((before, notice) => ({ kind: kindAfter(before, notice, isTold), notice }), null);

function kindAfter(before: Fold | null, { kind }: AlertNotice, isTold: boolean): TellingKind {
  // It came and went before anybody was told.
  if (kind === 'resolved') return isTold ? 'resolved' : 'was_firing';
  // Over and there again before that was told: for those who were told it never was away.
  if (before?.kind === 'resolved') return 'repeat';
  if (before === null || before.kind === 'was_firing') return kind;
  if (before.kind === 'firing' && !isTold) return 'firing';
  return kind === 'severity_raised' || kind === 'flapping' ? kind : before.kind;
}

/** How soon a group that was told is looked at again: something may have been announced meanwhile. */
const LOOK_AGAIN_MS = 1000;

/** What of a group waits for its cooldown: without news nothing is to be done before. */
interface Cooling {
  readonly newestId: number | undefined;
  readonly untilMs: number;
}

export function createDispatcher({ db, facts, routing, onWritten }: DispatcherDependencies) {
  const dueMs = (rows: readonly Announced[], toldMs: number | undefined): number => {
    const [first] = rows;
    if (first === undefined || first.kind === 'event') return 0;
    const gathered = first.atMs + Math.max(durationMs(routing().groupWait), waitForSpeakerMs(first.notice));
    // What got worse does not wait for the interval.
    const isUrgent = rows.some((row) => row.kind === 'alert' && row.notice.kind === 'severity_raised');
    return toldMs === undefined || isUrgent
      ? gathered
      : Math.max(gathered, toldMs + durationMs(routing().groupInterval));
  };

  const cooling = new Map<string, Cooling>();

  /** @returns the ids that are done with; others wait for the end of their cooldown */
  const tellOne = async (round: Round, record: ToldAlertRecord, rows: readonly Announced[]): Promise<number[]> => {
    const notices = rows.flatMap((row) => (row.kind === 'alert' ? [row.notice] : []));
    const ids = rows.map(({ id }) => id);
    const isTold = Object.keys(record.told).length > 0 || record.firstToldMs !== null;
    const folded = fold(notices, isTold);
    if (folded === null) return ids;
    const { notice } = folded;
    const sinceToldMs = record.toldMs === null ? Number.POSITIVE_INFINITY : facts.nowMs() - record.toldMs;
    const isCool = sinceToldMs >= notice.rule.cooldownMs;
    const isRaised =
      folded.kind === 'severity_raised' ||
      (isTold && record.toldSeverity !== null && isWorse(notice.severity, record.toldSeverity));
    switch (folded.kind) {
      case 'resolved':
        if (!isTold) await round.keepBack(notice, 'not_sent', 'nobody was told that it fired');
        await round.ends(record, notice);
        return ids;
      case 'was_firing':
        if (isCool && record.hold === null) {
          await round.fires(record, 'was_firing', notice);
          await round.ends(record, notice);
          return ids;
        }
        await round.keepBack(notice, 'not_sent', 'it came and went within the cooldown, or while it was held back');
        await round.ends(record, notice);
        return ids;
      case 'firing':
        if (!isCool && !isRaised) return [];
        await round.fires(record, isRaised && isTold ? 'severity_raised' : 'firing', notice);
        return ids;
      case 'severity_raised':
        await round.fires(record, 'severity_raised', notice);
        return ids;
      default: {
        const isDue = sinceToldMs >= Math.max(durationMs(routing().repeat), notice.rule.cooldownMs);
        if (isRaised) await round.fires(record, 'severity_raised', notice);
        else if (folded.kind === 'flapping' ? isCool : isDue && !record.isAcked)
          await round.fires(record, folded.kind, notice);
        return ids;
      }
    }
  };

  const tellGroup = async (tx: Transaction, grp: string): Promise<number> => {
    const rows = await announcedOnes(tx, grp);
    const byFingerprint = new Map<string, Announced[]>();
    for (const row of rows)
      if (row.kind === 'alert')
        byFingerprint.set(row.notice.fingerprint, [...(byFingerprint.get(row.notice.fingerprint) ?? []), row]);
    const round = await beginRound(tx, grp, facts);
    const done: number[] = [];
    let coolMs = Number.POSITIVE_INFINITY;
    for (const [fingerprint, own] of byFingerprint) {
      const record = await findRecord(tx, fingerprint);
      const ids = record === null ? own.map(({ id }) => id) : await tellOne(round, record, own);
      done.push(...ids);
      if (record !== null && ids.length === 0)
        coolMs = Math.min(coolMs, (record.toldMs ?? 0) + record.notice.rule.cooldownMs);
    }
    const written = await round.finish();
    if (done.length > 0) await forgetAnnounced(tx, done);
    if (written > 0) await markGroupTold(tx, grp, facts.nowMs());
    if (Number.isFinite(coolMs)) cooling.set(grp, { newestId: rows.at(-1)?.id, untilMs: coolMs });
    else cooling.delete(grp);
    return written;
  };

  const tellEvent = async (tx: Transaction, grp: string): Promise<number> => {
    const rows = await announcedOnes(tx, grp);
    const [first] = rows;
    if (first?.kind !== 'event') return 0;
    const written = await writeEvent(tx, grp, first.event, facts);
    await forgetAnnounced(
      tx,
      rows.map(({ id }) => id),
    );
    return written;
  };

  return {
    /** Tells every group whose time has come. @returns when to look again, as the steady clock; null = when something is announced */
    async run(): Promise<number | null> {
      const rows = await announcedOnes(db);
      const waiting = new Set(rows.map(({ grp }) => grp));
      for (const grp of cooling.keys()) if (!waiting.has(grp)) cooling.delete(grp);
      if (rows.length === 0) return null;
      const groups = new Map<string, Announced[]>();
      for (const row of rows) groups.set(row.grp, [...(groups.get(row.grp) ?? []), row]);
      const told = await groupsTold(db);
      let nextMs: number | null = null;
      let written = 0;
      for (const [grp, own] of groups) {
        const rest = cooling.get(grp);
        const restsUntilMs = rest !== undefined && rest.newestId === own.at(-1)?.id ? rest.untilMs : 0;
        const due = Math.max(dueMs(own, told.get(grp)), restsUntilMs);
        if (due <= facts.nowMs())
          written += await db.transaction((tx) => (own[0]?.kind === 'event' ? tellEvent(tx, grp) : tellGroup(tx, grp)));
        const again = due <= facts.nowMs() ? facts.nowMs() + LOOK_AGAIN_MS : due;
        nextMs = nextMs === null ? again : Math.min(nextMs, again);
      }
      if (written > 0) onWritten();
      return nextMs;
    },
  };
}

/** An event in the words of a notice, so that routes and silences fit it. */
const noticeOf = (event: KeptEvent, host: string): AlertNotice => ({
  fingerprint: `event:${event.key}`,
  episode: 1,
  kind: 'firing',
  rule: {
    id: 'event',
    name: event.labels['event'] ?? 'event',
    condition: '',
    metrics: [],
    isEvent: true,
    project: null,
    cooldownMs: 0,
    channels: null,
  },
  severity: event.severity,
  labels: event.labels,
  entity: { kind: event.labels['kind'] ?? 'host', name: event.labels['vm'] ?? host },
  project: event.project,
  host: event.labels['host'] ?? host,
  value: null,
  valueText: '',
  startedAtMs: 0,
  endedAtMs: null,
  text: event.text,
});

async function writeEvent(tx: Transaction, grp: string, event: KeptEvent, facts: RoundFacts): Promise<number> {
  const notice = noticeOf(event, facts.host);
  const silence = facts.silences.covering(notice);
  const channels = channelsFor(notice, facts.view()).filter(({ id }) => id !== event.exceptChannelId);
  const messageFor = (channelId: string) => ({
    key: digestOf(`${channelId}|event|${event.key}`),
    thread: grp,
    kind: 'event' as const,
    severity: event.severity,
    title: cleanLine(event.title, 200),
    text: event.text,
    alerts: [],
    atMs: facts.wallMs(),
    host: facts.host,
    origin: facts.origin(),
  });
  const common = { grp, project: event.project, nowMs: facts.nowMs() };
  const id = () => newId('ntc', facts.wallMs());
  if (silence || channels.length === 0) {
    if (silence) await facts.silences.countHit(tx, silence.id);
    await insertDelivery(tx, {
      ...common,
      id: id(),
      channelId: null,
      message: messageFor('nobody'),
      state: silence ? 'silenced' : 'unrouted',
      remark: silence
        ? silencedRemark(silence, event.project)
        : 'no channel takes it: see `hv channel list` and the routing',
    });
    return 0;
  }
  for (const channel of channels)
    await insertDelivery(tx, {
      ...common,
      id: id(),
      channelId: channel.id,
      message: messageFor(channel.id),
      state: 'waiting',
    });
  return channels.length;
}
