/** What is due without news: repeats of what still fires, steps of escalation, and what was held back and is not any more. */

import { durationMs } from '#contract/alerts-config.ts';
import type { Routing } from '#contract/notifications.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { ChannelEntry } from '../channel-registry.ts';
import { type Causes, createCauses } from '../routing/inhibition.ts';
import { escalationFor } from '../routing/routes.ts';
import { groupOf } from './announcements.ts';
import { type Audience, audienceOf } from './audience.ts';
import { beginRound, noteSpared, type Round, type RoundFacts } from './round.ts';
import { findRecord, firingAlerts, saveRecord, type ToldAlertRecord } from './told-alerts.ts';

/** What a cause took along gets this long to recover after it, before it is told by itself. */
const RECOVERY_MS = 120_000;

export interface FollowUpDependencies {
  readonly db: Database;
  readonly facts: RoundFacts;
  routing(): Routing;
  /** @see Silences.reasonOf */
  reasonOf(silenceId: string, project: string | null): string | null;
  onWritten(): void;
}

interface Wanted {
  readonly grp: string;
  /** What is said to a channel besides. */
  textFor(channel: Pick<ChannelEntry, 'project'>): string;
}

const noText = () => '';

const isAnySpared = ({ spared }: ToldAlertRecord): boolean => Object.keys(spared).length > 0;

/** Whether what kept it from being told, or from some channels, does so still. */
function isStillHeld({ hold, spared }: ToldAlertRecord, audience: Audience): boolean {
  if (hold !== null && hold !== audience.hold?.hold) return false;
  const isEverybodySpared = Object.keys(spared).every((id) => audience.spared.has(id));
  return isEverybodySpared || (audience.hold !== null && audience.spared.size === 0);
}

export function createFollowUp({ db, facts, routing, reasonOf, onWritten }: FollowUpDependencies) {
  /** Since when nothing inhibits it any more. */
  const releasedMs = new Map<string, number>();

  const isRepeatDue = ({ told, toldMs, isAcked, notice }: ToldAlertRecord): boolean =>
    Object.keys(told).length > 0 &&
    !isAcked &&
    toldMs !== null &&
    facts.nowMs() - toldMs >= Math.max(durationMs(routing().repeat), notice.rule.cooldownMs);

  const stepDue = (record: ToldAlertRecord) => {
    if (record.isAcked || record.firstToldMs === null || Object.keys(record.told).length === 0) return null;
    const step = escalationFor(record.notice, facts.view())[record.escalated];
    return step !== undefined && facts.nowMs() - record.firstToldMs >= step.afterMs ? step : null;
  };

  /** What a record asks for now, and the group in which that is told. */
  const wanted = (record: ToldAlertRecord, causes: Causes): Wanted | null => {
    const { hold, notice, fingerprint } = record;
    if (hold === 'heard') return null;
    const grp = groupOf(notice);
    if (hold !== null || isAnySpared(record)) {
      const audience = audienceOf(notice, { ...facts, view: facts.view(), causes });
      if (isStillHeld(record, audience)) {
        releasedMs.delete(fingerprint);
        // Most that is held stays so: that is seen without a transaction.
        const mayBeHeard = notice.rule.isEvent && isAnySpared(record);
        if (mayBeHeard || hold !== null) return mayBeHeard ? { grp, textFor: noText } : null;
      } else if (hold?.startsWith('silence:')) {
        const id = hold.slice('silence:'.length);
        return {
          grp: hold,
          textFor({ project }) {
            const reason = reasonOf(id, project);
            return `This still fires after the silence${reason === null ? '' : ` "${reason}"`} ended.`;
          },
        };
      } else return { grp, textFor: noText };
    }
    return isRepeatDue(record) || stepDue(record) ? { grp, textFor: noText } : null;
  };

  /** An event that somebody heard of by another alert is no news when that one is over. */
  const dropHeard = async (tx: Transaction, record: ToldAlertRecord): Promise<void> => {
    if (!record.notice.rule.isEvent) return;
    for (const [channelId, speaker] of Object.entries(record.spared)) {
      const spoken = await findRecord(tx, speaker);
      const toldMs = spoken?.toldMs ?? null;
      if (toldMs !== null && toldMs >= record.changedMs) delete record.spared[channelId];
    }
    if (isAnySpared(record)) return;
    if (record.hold === 'inhibited') record.hold = 'heard';
    else record.heldBy = null;
    await saveRecord(tx, record);
  };

  /** @returns whether there is nothing to do for it now, though nothing holds it any more */
  const isRecovering = (fingerprint: string): boolean => {
    const sinceMs = releasedMs.get(fingerprint) ?? facts.nowMs();
    releasedMs.set(fingerprint, sinceMs);
    if (facts.nowMs() - sinceMs < RECOVERY_MS) return true;
    releasedMs.delete(fingerprint);
    return false;
  };

  /** For what was held back, or not told to all: tells it where nothing speaks for it any more. @returns false when nothing was held */
  const release = async (tx: Transaction, round: Round, record: ToldAlertRecord): Promise<boolean> => {
    if (isAnySpared(record)) await dropHeard(tx, record);
    const { hold, fingerprint, notice } = record;
    const wasSpared = isAnySpared(record);
    if (hold === 'heard' || (hold === null && !wasSpared)) return hold === 'heard';
    const audience = round.audienceOf(notice);
    if (isStillHeld(record, audience)) {
      releasedMs.delete(fingerprint);
      return hold !== null;
    }
    if (audience.hold !== null) {
      // By something else now.
      releasedMs.delete(fingerprint);
      noteSpared(record, audience.spared, audience.hold.by);
      record.hold = audience.hold.hold;
      await saveRecord(tx, record);
      return true;
    }
    if (!hold?.startsWith('silence:') && isRecovering(fingerprint)) return true;
    if (!wasSpared) {
      await round.fires(record, 'still_firing', notice);
      return true;
    }
    const freed = audience.channels.filter(({ id }) => Object.hasOwn(record.spared, id));
    noteSpared(record, audience.spared, null);
    if (freed.length === 0) {
      // Those channels are no more.
      record.hold = null;
      await saveRecord(tx, record);
      return true;
    }
    await round.tellThese(record, 'still_firing', notice, freed);
    return true;
  };

  const tell = (grp: string, textFor: Wanted['textFor'], fingerprints: readonly string[]): Promise<number> =>
    db.transaction(async (tx) => {
      const round = await beginRound(tx, grp, facts);
      for (const fingerprint of fingerprints) {
        const record = await findRecord(tx, fingerprint);
        if (!record?.isFiring || (await release(tx, round, record))) continue;
        const { notice } = record;
        const step = stepDue(record);
        if (step) {
          record.escalated += 1;
          await round.tellThese(record, 'still_firing', notice, step.channels);
        } else if (isRepeatDue(record)) await round.fires(record, 'repeat', notice);
      }
      return round.finish(textFor);
    });

  return {
    async run(): Promise<void> {
      const groups = new Map<string, { readonly textFor: Wanted['textFor']; readonly fingerprints: string[] }>();
      const firing = await firingAlerts(db);
      const isFiring = new Set(firing.map(({ fingerprint }) => fingerprint));
      for (const fingerprint of releasedMs.keys()) if (!isFiring.has(fingerprint)) releasedMs.delete(fingerprint);
      const causes = createCauses(firing.map(({ notice }) => notice));
      for (const record of firing) {
        const due = wanted(record, causes);
        if (due === null) continue;
        const group = groups.get(due.grp) ?? { textFor: due.textFor, fingerprints: [] };
        group.fingerprints.push(record.fingerprint);
        groups.set(due.grp, group);
      }
      let written = 0;
      for (const [grp, { textFor, fingerprints }] of groups) written += await tell(grp, textFor, fingerprints);
      if (written > 0) onWritten();
    },
  };
}
