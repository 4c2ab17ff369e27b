/** What is due without news: repeats of what still fires, steps of escalation, and what was held back and is not any more. */

import { durationMs } from '#contract/alerts-config.ts';
import type { Routing } from '#contract/notifications.ts';
import type { Database } from '#platform/db/database.ts';
import type { ChannelEntry } from '../channel-registry.ts';
import { type Causes, createCauses } from '../routing/inhibition.ts';
import { escalationFor } from '../routing/routes.ts';
import { groupOf } from './announcements.ts';
import { beginRound, holdNow, type RoundFacts } from './round.ts';
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
    // Most that is held stays so: that is seen without a transaction.
    if (record.hold !== null && holdNow(record.notice, facts.silences, causes)?.hold === record.hold) {
      releasedMs.delete(record.fingerprint);
      return null;
    }
    if (record.hold?.startsWith('silence:')) {
      const id = record.hold.slice('silence:'.length);
      return {
        grp: record.hold,
        textFor({ project }) {
          const reason = reasonOf(id, project);
          return `This still fires after the silence${reason === null ? '' : ` "${reason}"`} ended.`;
        },
      };
    }
    if (record.hold === 'inhibited') return { grp: groupOf(record.notice), textFor: noText };
    return isRepeatDue(record) || stepDue(record) ? { grp: groupOf(record.notice), textFor: noText } : null;
  };

  const tell = (grp: string, textFor: Wanted['textFor'], fingerprints: readonly string[]): Promise<number> =>
    db.transaction(async (tx) => {
      const round = await beginRound(tx, grp, facts);
      for (const fingerprint of fingerprints) {
        const record = await findRecord(tx, fingerprint);
        if (!record?.isFiring) continue;
        const { notice } = record;
        if (record.hold !== null) {
          const held = round.holdOf(notice);
          if (held !== null) {
            releasedMs.delete(fingerprint);
            if (held.hold === record.hold) continue;
            record.hold = held.hold;
            await saveRecord(tx, record);
            continue;
          }
          if (record.hold === 'inhibited') {
            const sinceMs = releasedMs.get(fingerprint) ?? facts.nowMs();
            releasedMs.set(fingerprint, sinceMs);
            if (facts.nowMs() - sinceMs < RECOVERY_MS) continue;
            releasedMs.delete(fingerprint);
          }
          await round.fires(record, 'still_firing', notice);
          continue;
        }
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
