/** Gathers the report of the last seven days, and tells of it once a week, on Monday morning. */

import { hostname } from 'node:os';
import type { NotificationsApi } from '#features/notifications/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Database } from '#platform/db/database.ts';
import type { ProtectionTables } from '../migrations.ts';
import { worstPosture } from '../posture.ts';
import { type RoundStore, roundView } from '../rounds/round-store.ts';
import { hostTimeZone } from '../schedules/time-zone.ts';
import type { Standing } from '../standing/standing.ts';
import { isoWeekOf, zonedTime } from '../zoned-time.ts';
import { headline, type WeekReport } from './report.ts';

const HOUR_MS = 3_600_000;
const WEEK_MS = 7 * 24 * HOUR_MS;
/** On Monday at eight, when somebody is there to read it. */
const TOLD_AT_HOUR = 8;
const MOST_RUNS = 200;

export interface WeeklyDependencies {
  readonly db: Database;
  readonly clock: Clock;
  readonly rounds: Pick<RoundStore, 'list' | 'vms'>;
  readonly standing: Pick<Standing, 'all' | 'orphans'>;
  readonly messages: Pick<NotificationsApi, 'announceEvent'>;
  /** Where browsers reach this machine. */
  origin(): string;
}

export function createWeekly({ db, clock, rounds, standing, messages, origin }: WeeklyDependencies) {
  const gather = async (): Promise<WeekReport> => {
    const to = clock.now();
    const from = new Date(to.getTime() - WEEK_MS);
    const vms = standing.all();
    const { rows } = await rounds.list({ limit: MOST_RUNS });
    const ofWeek = rows.filter(({ began_at: at }) => at >= from.toISOString());
    return {
      host: hostname(),
      from: from.toISOString(),
      to: to.toISOString(),
      worst: worstPosture(vms.map(({ posture }) => posture)),
      vms,
      runs: await Promise.all(ofWeek.map(async (row) => roundView(row, await rounds.vms(row.id)))),
      orphans: standing.orphans(),
    };
  };

  return {
    gather,
    /** Tells of it when a new week began. */
    async look(): Promise<void> {
      const now = clock.now();
      const week = isoWeekOf(zonedTime(now.getTime() - TOLD_AT_HOUR * HOUR_MS, hostTimeZone()));
      const tables = db.tables<ProtectionTables>();
      const told = await tables.selectFrom('backup_report').select('week').executeTakeFirst();
      if (told?.week === week) return;
      const report = await gather();
      await db.transaction(async (tx) => {
        const at = tx.tables<ProtectionTables>();
        await at.deleteFrom('backup_report').execute();
        await at.insertInto('backup_report').values({ week }).execute();
        // A machine that was set up this week has nothing to tell of yet.
        if (told === undefined || report.vms.length === 0) return;
        await messages.announceEvent(tx, {
          key: `backup-report:${week}`,
          severity: report.worst === 'unprotected' ? 'warning' : 'info',
          title: `Backups of the week: ${headline(report)}`,
          text: `${report.runs.length} runs of schedules in seven days. ${origin()}/backups`,
          project: null,
          labels: { category: 'backups' },
        });
      });
    },
  };
}
