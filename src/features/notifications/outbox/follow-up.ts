/** What is due without news: repeats of what still fires, steps of escalation, and what was held back and is not any more. */

import { durationMs } from '#contract/alerts-config.ts';
import type { Routing } from '#contract/notifications.ts';
import type { Database } from '#platform/db/database.ts';
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
  reasonOf(silenceId: string): string | null;
  onWritten(): void;
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
  const wanted = (record: ToldAlertRecord, causes: Causes): { readonly grp: string; readonly text: string } | null => {
    // Most that is held stays so: that is seen without a transaction.
    if (record.hold !== null && holdNow(record.notice, facts.silences, causes)?.hold === record.hold) {
      releasedMs.delete(record.fingerprint);
      return null;
    }
    if (record.hold?.startsWith('silence:')) {
      const id = record.hold.slice('silence:'.length);
      const reason = reasonOf(id);
      return {
        grp: record.hold,
        text: `This still fires after the silence${reason === null ? '' : ` "${reason}"`} ended.`,
      };
    }
    if (record.hold === 'inhibited') return { grp: groupOf(record.notice), text: '' };
    return isRepeatDue(record) || stepDue(record) ? { grp: groupOf(record.notice), text: '' } : null;
  };

  const tell = (grp: string, text: string, fingerprints: readonly string[]): Promise<number> =>
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
      return round.finish(text);
    });

  return {
    async run(): Promise<void> {
      const groups = new Map<string, { readonly text: string; readonly fingerprints: string[] }>();
      const firing = await firingAlerts(db);
      const causes = createCauses(firing.map(({ notice }) => notice));
      for (const record of firing) {
        const due = wanted(record, causes);
        if (due === null) continue;
        const group = groups.get(due.grp) ?? { text: due.text, fingerprints: [] };
        group.fingerprints.push(record.fingerprint);
        groups.set(due.grp, group);
      }
      let written = 0;
      for (const [grp, { text, fingerprints }] of groups) written += await tell(grp, text, fingerprints);
      if (written > 0) onWritten();
    },
  };
}
