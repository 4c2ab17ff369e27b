/** What is known of each alert that was ever announced: whether it fires, who was told, and why not. */

import { sql } from 'kysely';
import type { Severity } from '#contract/alerts-config.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { AlertNotice } from '../message.ts';
import type { NotificationTables, ToldAlertRow } from '../migrations.ts';

/** The alert for whose sake another one is not told, or not to all. */
export interface HeldBy {
  readonly alertId: string;
  /** Its name. */
  readonly rule: string;
}

export interface ToldAlertRecord {
  readonly fingerprint: string;
  notice: AlertNotice;
  isFiring: boolean;
  readonly changedMs: number;
  toldMs: number | null;
  firstToldMs: number | null;
  /** Channel → delivery by which it heard that this fires. */
  told: Record<string, string>;
  toldSeverity: Severity | null;
  /** `silence:<id>`, `inhibited` or `heard`. */
  hold: string | null;
  /** Channel → fingerprint of the alert that speaks for it there. */
  spared: Record<string, string>;
  heldBy: HeldBy | null;
  isAcked: boolean;
  escalated: number;
  tellings: number;
}

const tables = (source: Database | Transaction) => source.tables<NotificationTables>();

/** Of notices that were kept before rules told what they ask for, nothing is known of that. */
export function noticeOfJson(text: string): AlertNotice {
  const kept: AlertNotice = JSON.parse(text);
  return { ...kept, rule: { ...UNKNOWN_ASK, ...kept.rule } };
}
const UNKNOWN_ASK: Partial<AlertNotice['rule']> = { metrics: [], isEvent: false, project: null };

const recordOf = (row: ToldAlertRow): ToldAlertRecord => ({
  fingerprint: row.fp,
  notice: noticeOfJson(row.notice),
  isFiring: row.is_firing === 1,
  changedMs: row.changed_ms,
  toldMs: row.told_ms,
  firstToldMs: row.first_told_ms,
  told: JSON.parse(row.told),
  toldSeverity: row.told_severity,
  hold: row.hold,
  spared: JSON.parse(row.spared),
  heldBy: row.held_by === null ? null : JSON.parse(row.held_by),
  isAcked: row.is_acked === 1,
  escalated: row.escalated,
  tellings: row.tellings,
});

/** Takes down what was announced, in the transaction in which it happened. */
export async function noteAnnounced(tx: Transaction, notice: AlertNotice, nowMs: number): Promise<void> {
  const values = {
    is_firing: notice.kind === 'resolved' ? 0 : 1,
    notice: JSON.stringify(notice),
    changed_ms: nowMs,
    // What got worse is news again for whoever acknowledged it.
    ...(notice.kind === 'firing' || notice.kind === 'severity_raised' ? { is_acked: 0 } : {}),
  };
  await tables(tx)
    .insertInto('told_alert')
    .values({ fp: notice.fingerprint, ...values })
    .onConflict((conflict) => conflict.column('fp').doUpdateSet(values))
    .execute();
}

export async function acknowledge(tx: Transaction, fingerprint: string): Promise<void> {
  await tables(tx).updateTable('told_alert').set({ is_acked: 1 }).where('fp', '=', fingerprint).execute();
}

export async function firingAlerts(source: Database | Transaction): Promise<ToldAlertRecord[]> {
  return (await tables(source).selectFrom('told_alert').selectAll().where('is_firing', '=', 1).execute()).map(recordOf);
}

/** Which fire, and when each was announced last. */
export async function firingTimes(tx: Transaction): Promise<readonly { fp: string; changed_ms: number }[]> {
  return await tables(tx).selectFrom('told_alert').select(['fp', 'changed_ms']).where('is_firing', '=', 1).execute();
}

/** Another one whenever one begins, ends or is announced again, unless that is in the newest millisecond. */
export interface FiringState {
  readonly count: number;
  readonly newestMs: number;
  /** Of the times, each modulo a number that keeps the sum exact. */
  readonly sum: number;
}

export async function firingState(tx: Transaction): Promise<FiringState> {
  const { count, newest, sum } = await tables(tx)
    .selectFrom('told_alert')
    .select((of) => [
      of.fn.countAll<number>().as('count'),
      of.fn.max<number | null>('changed_ms').as('newest'),
      sql<number | null>`sum(changed_ms % 1000000007)`.as('sum'),
    ])
    .where('is_firing', '=', 1)
    .executeTakeFirstOrThrow();
  return { count, newestMs: newest ?? Number.NEGATIVE_INFINITY, sum: sum ?? 0 };
}

/** What those that fire and were announced last at this time were announced with. */
export async function noticesAt(tx: Transaction, changedMs: number): Promise<readonly AlertNotice[]> {
  const rows = await tables(tx)
    .selectFrom('told_alert')
    .select('notice')
    .where('is_firing', '=', 1)
    .where('changed_ms', '=', changedMs)
    .execute();
  return rows.map(({ notice }) => noticeOfJson(notice));
}

/** What those that fire were announced with last. */
export async function noticesOf(tx: Transaction, fingerprints: readonly string[]): Promise<readonly AlertNotice[]> {
  const notices: AlertNotice[] = [];
  for (let from = 0; from < fingerprints.length; from += NOTICES_AT_ONCE) {
    const some = fingerprints.slice(from, from + NOTICES_AT_ONCE);
    const rows = await tables(tx).selectFrom('told_alert').select('notice').where('fp', 'in', some).execute();
    notices.push(...rows.map(({ notice }) => noticeOfJson(notice)));
  }
  return notices;
}
/** A statement takes so many parameters anywhere. */
const NOTICES_AT_ONCE = 500;

/** Those that ended since. */
export async function endedSince(source: Database | Transaction, sinceMs: number): Promise<ToldAlertRecord[]> {
  const rows = await tables(source)
    .selectFrom('told_alert')
    .selectAll()
    .where('is_firing', '=', 0)
    .where('changed_ms', '>=', sinceMs)
    .execute();
  return rows.map(recordOf);
}

/** Which of those that fire somebody was not told of for the sake of another alert. */
export async function heldAlerts(source: Database | Transaction): Promise<ReadonlyMap<string, HeldBy>> {
  const rows = await tables(source)
    .selectFrom('told_alert')
    .select(['fp', 'held_by'])
    .where('is_firing', '=', 1)
    .where('held_by', 'is not', null)
    .execute();
  return new Map(rows.map(({ fp, held_by }) => [fp, JSON.parse(held_by ?? 'null')]));
}

export async function findRecord(tx: Transaction, fingerprint: string): Promise<ToldAlertRecord | null> {
  const row = await tables(tx).selectFrom('told_alert').selectAll().where('fp', '=', fingerprint).executeTakeFirst();
  return row === undefined ? null : recordOf(row);
}

export async function saveRecord(tx: Transaction, record: ToldAlertRecord): Promise<void> {
  await tables(tx)
    .updateTable('told_alert')
    .set({
      told_ms: record.toldMs,
      first_told_ms: record.firstToldMs,
      told: JSON.stringify(record.told),
      told_severity: record.toldSeverity,
      hold: record.hold,
      spared: JSON.stringify(record.spared),
      held_by: record.heldBy === null ? null : JSON.stringify(record.heldBy),
      escalated: record.escalated,
      tellings: record.tellings,
    })
    .where('fp', '=', record.fingerprint)
    .execute();
}

/** No pause between two attempts is longer. */
const LONGEST_PAUSE_MS = 3_600_000;

/** After a start the clock may be behind what it was: nothing that was kept lies ahead of it, and what is long over is forgotten. */
export async function settleTimes(db: Database, nowMs: number, forgetBeforeMs: number | null): Promise<void> {
  await db.transaction(async (tx) => {
    await tables(tx).updateTable('told_alert').set({ told_ms: nowMs }).where('told_ms', '>', nowMs).execute();
    await tables(tx)
      .updateTable('told_alert')
      .set({ first_told_ms: nowMs })
      .where('first_told_ms', '>', nowMs)
      .execute();
    await tables(tx).updateTable('told_alert').set({ changed_ms: nowMs }).where('changed_ms', '>', nowMs).execute();
    await tables(tx).updateTable('notice_group').set({ told_ms: nowMs }).where('told_ms', '>', nowMs).execute();
    await tables(tx).updateTable('announced').set({ at_ms: nowMs }).where('at_ms', '>', nowMs).execute();
    await tables(tx).updateTable('delivery').set({ sent_ms: nowMs }).where('sent_ms', '>', nowMs).execute();
    await tables(tx).updateTable('delivery').set({ created_ms: nowMs }).where('created_ms', '>', nowMs).execute();
    await tables(tx)
      .updateTable('delivery')
      .set({ next_ms: nowMs })
      .where('state', '=', 'waiting')
      .where('next_ms', '>', nowMs + LONGEST_PAUSE_MS)
      .execute();
    await tables(tx).updateTable('channel_state').set({ tested_ms: nowMs }).where('tested_ms', '>', nowMs).execute();
    if (forgetBeforeMs === null) return;
    await tables(tx)
      .deleteFrom('told_alert')
      .where('is_firing', '=', 0)
      .where('changed_ms', '<', forgetBeforeMs)
      .execute();
    await tables(tx).deleteFrom('notice_group').where('told_ms', '<', forgetBeforeMs).execute();
  });
}
