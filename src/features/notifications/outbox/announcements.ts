/** What other features hand in, inside their own transactions: it is kept until its group is told. */

import type { Severity } from '#contract/alerts-config.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { AlertNotice } from '../message.ts';
import type { NotificationTables } from '../migrations.ts';
import { noteAnnounced, noticeOfJson } from './told-alerts.ts';

/** Something that no rule told of: an act of healing, a message given up, an update. */
export interface AnnouncedEvent {
  /** What is announced twice under one key is told once. */
  readonly key: string;
  readonly severity: Severity;
  readonly title: string;
  readonly text: string;
  readonly project: string | null;
  readonly labels: Readonly<Record<string, string>>;
}

/** @see AnnouncedEvent; `exceptChannelId` is the one that it complains of. */
export interface KeptEvent extends AnnouncedEvent {
  readonly exceptChannelId: string | null;
}

export type Announced =
  | {
      readonly id: number;
      readonly grp: string;
      readonly atMs: number;
      readonly kind: 'alert';
      readonly notice: AlertNotice;
    }
  | {
      readonly id: number;
      readonly grp: string;
      readonly atMs: number;
      readonly kind: 'event';
      readonly event: KeptEvent;
    };

const tables = (source: Database | Transaction) => source.tables<NotificationTables>();

/** Alerts of one rule on one host are told together; those of a project never with another's. */
export const groupOf = ({ rule, host, project }: AlertNotice): string => `${rule.id}|${host}|${project ?? ''}`;

export async function announceAlert(tx: Transaction, notice: AlertNotice, nowMs: number): Promise<void> {
  await noteAnnounced(tx, notice, nowMs);
  await tables(tx)
    .insertInto('announced')
    .values({ grp: groupOf(notice), at_ms: nowMs, kind: 'alert', body: JSON.stringify(notice) })
    .execute();
}

export async function announceEvent(tx: Transaction, event: KeptEvent, nowMs: number): Promise<void> {
  await tables(tx)
    .insertInto('announced')
    .values({ grp: `event:${event.key}`, at_ms: nowMs, kind: 'event', body: JSON.stringify(event) })
    .execute();
}

/** All, or those of one group, in the order in which they came. */
export async function announcedOnes(source: Database | Transaction, grp?: string): Promise<Announced[]> {
  const query = tables(source).selectFrom('announced').selectAll().orderBy('id');
  const rows = await (grp === undefined ? query : query.where('grp', '=', grp)).execute();
  return rows.map((row): Announced => {
    const common = { id: row.id, grp: row.grp, atMs: row.at_ms };
    return row.kind === 'event'
      ? { ...common, kind: 'event', event: JSON.parse(row.body) }
      : { ...common, kind: 'alert', notice: noticeOfJson(row.body) };
  });
}

export async function forgetAnnounced(tx: Transaction, ids: readonly number[]): Promise<void> {
  await tables(tx).deleteFrom('announced').where('id', 'in', ids).execute();
}

export async function groupsTold(source: Database | Transaction): Promise<ReadonlyMap<string, number>> {
  const rows = await tables(source).selectFrom('notice_group').selectAll().execute();
  return new Map(rows.map(({ grp, told_ms }) => [grp, told_ms]));
}

export async function markGroupTold(tx: Transaction, grp: string, nowMs: number): Promise<void> {
  await tables(tx)
    .insertInto('notice_group')
    .values({ grp, told_ms: nowMs })
    .onConflict((conflict) => conflict.column('grp').doUpdateSet({ told_ms: nowMs }))
    .execute();
}
