/** Silences: kept in the database and in memory. Times are those of the wall: people plan by it. */

import { type CronSchedule, parseCron } from '#contract/cron.ts';
import type { Silence } from '#contract/notifications.ts';
import type { Clock } from '#kernel/clock.ts';
import { matchesGlob } from '#kernel/glob.ts';
import { newId } from '#kernel/ids.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { FoundObject } from '#platform/feature.ts';
import type { AlertNotice } from '../message.ts';
import type { NotificationTables } from '../migrations.ts';
import { labelsFit } from './match.ts';

export type StoredSilence = Omit<Silence, 'isActive' | 'isOver'> & {
  /** Whoever made it may also silence what concerns security. */
  readonly mayHideSecurity: boolean;
};

export interface Silences {
  all(): readonly Silence[];
  get(id: string): Silence | null;
  /** The silence that covers the notice now, or null. */
  covering(notice: AlertNotice): StoredSilence | null;
  /** What a silence is or was for, as far as readers of a project may know it: null for one of the system or another project.
   *  @param project of the readers; null = the system */
  reasonOf(id: string, project: string | null): string | null;
  add(silence: Omit<StoredSilence, 'id' | 'createdAt' | 'hits'>): Promise<Silence>;
  remove(id: string): Promise<void>;
  /** Forgets those that have long been over. */
  trim(): Promise<void>;
  countHit(tx: Transaction, id: string): Promise<void>;
  load(): Promise<void>;
}

export const silenceObject = ({ id, reason, project }: Pick<Silence, 'id' | 'reason' | 'project'>): FoundObject => ({
  type: 'silence',
  id,
  name: reason.slice(0, 60),
  project,
});

const MINUTE_MS = 60_000;
/** After its end, as long as the history of alerts. */
const KEPT_MS = 90 * 86_400_000;

/** The windows of a silence that comes again. */
export interface WindowPlan {
  isOpen(now: Date): boolean;
}

/** Whether a window began at most its length ago. @param minute since 1970 */
function isWindowOpen(schedule: CronSchedule, durationMinutes: number, minute: number): boolean {
  for (let ago = 0; ago < durationMinutes; ago += 1)
    if (schedule.matches(new Date((minute - ago) * MINUTE_MS))) return true;
  return false;
}

/** Whether it is quiet at this time: within from and to, and where there is a plan within one of its windows. */
export function isQuiet(silence: Pick<StoredSilence, 'from' | 'to'>, plan: WindowPlan | null, now: Date): boolean {
  const ms = now.getTime();
  if (ms < Date.parse(silence.from) || ms >= Date.parse(silence.to)) return false;
  return plan === null || plan.isOpen(now);
}

/** Alerts about who tries to get in: only those who configure alerts may keep them from being told. */
const isCriticalSecurity = ({ severity, labels, rule }: AlertNotice): boolean =>
  severity === 'critical' && (labels['category'] === 'security' || /\bauth_failures_total\b/.test(rule.condition));

export function covers({ match, project, mayHideSecurity }: StoredSilence, notice: AlertNotice): boolean {
  if (project !== null && project !== notice.project) return false;
  if (isCriticalSecurity(notice) && !mayHideSecurity) return false;
  return (
    (match.rule === undefined || matchesGlob(notice.rule.name, match.rule)) &&
    (match.severities === undefined || match.severities.includes(notice.severity)) &&
    labelsFit(match.labels ?? [], notice)
  );
}

/** Looks back over a whole window only once in a minute: that takes milliseconds, and is asked for each alert. */
export function windowPlan(schedule: CronSchedule, durationMinutes: number): WindowPlan {
  let known = { minute: Number.NaN, isOpen: false };
  return {
    isOpen(now) {
      const minute = Math.floor(now.getTime() / MINUTE_MS);
      if (known.minute !== minute) known = { minute, isOpen: isWindowOpen(schedule, durationMinutes, minute) };
      return known.isOpen;
    },
  };
}

export function createSilences(db: Database, clock: Clock): Silences {
  const known = new Map<string, { readonly silence: StoredSilence; readonly plan: WindowPlan | null }>();
  const tables = (source: Database | Transaction = db) => source.tables<NotificationTables>();
  const keep = (silence: StoredSilence) => {
    const schedule = silence.cron === null ? null : parseCron(silence.cron);
    known.set(silence.id, { silence, plan: schedule && windowPlan(schedule, silence.durationMinutes ?? 0) });
  };
  const view = (id: string): Silence | null => {
    const found = known.get(id);
    if (!found) return null;
    const { mayHideSecurity: _mayHideSecurity, ...silence } = found.silence;
    const now = clock.now();
    return {
      ...silence,
      isActive: isQuiet(silence, found.plan, now),
      isOver: now.getTime() >= Date.parse(silence.to),
    };
  };

  return {
    all: () => [...known.keys()].flatMap((id) => view(id) ?? []),
    get: view,
    covering(notice) {
      const now = clock.now();
      for (const { silence, plan } of known.values())
        if (covers(silence, notice) && isQuiet(silence, plan, now)) return silence;
      return null;
    },
    reasonOf(id, project) {
      const silence = known.get(id)?.silence;
      return silence !== undefined && (project === null || silence.project === project) ? silence.reason : null;
    },
    async add(given) {
      const now = clock.now();
      const silence: StoredSilence = {
        ...given,
        id: newId('sil', now.getTime()),
        createdAt: now.toISOString(),
        hits: 0,
      };
      await tables()
        .insertInto('silence')
        .values({
          id: silence.id,
          project: silence.project,
          matcher: JSON.stringify(silence.match),
          from_at: silence.from,
          to_at: silence.to,
          cron: silence.cron,
          duration_minutes: silence.durationMinutes,
          reason: silence.reason,
          created_by: silence.createdBy,
          created_at: silence.createdAt,
          hits: 0,
          may_hide_security: silence.mayHideSecurity ? 1 : 0,
        })
        .execute();
      keep(silence);
      return { ...given, ...silence, isActive: view(silence.id)?.isActive ?? false, isOver: false };
    },
    async remove(id) {
      await tables().deleteFrom('silence').where('id', '=', id).execute();
      known.delete(id);
    },
    async trim() {
      const limit = clock.now().getTime() - KEPT_MS;
      const over = [...known.values()].flatMap(({ silence: { id, to } }) => (Date.parse(to) < limit ? [id] : []));
      if (over.length > 0) await tables().deleteFrom('silence').where('id', 'in', over).execute();
      for (const id of over) known.delete(id);
    },
    async countHit(tx, id) {
      await tables(tx)
        .updateTable('silence')
        .set((row) => ({ hits: row('hits', '+', 1) }))
        .where('id', '=', id)
        .execute();
      tx.afterCommit(() => {
        const found = known.get(id);
        if (found) known.set(id, { ...found, silence: { ...found.silence, hits: found.silence.hits + 1 } });
      });
    },
    async load() {
      known.clear();
      for (const row of await tables().selectFrom('silence').selectAll().orderBy('created_at').execute())
        keep({
          id: row.id,
          project: row.project,
          match: JSON.parse(row.matcher),
          from: row.from_at,
          to: row.to_at,
          cron: row.cron,
          durationMinutes: row.duration_minutes,
          reason: row.reason,
          createdBy: row.created_by,
          createdAt: row.created_at,
          hits: row.hits,
          mayHideSecurity: row.may_hide_security === 1,
        });
    },
  };
}
