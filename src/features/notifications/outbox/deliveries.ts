/** SQL of the outbox: messages that wait, were sent, were given up, or went nowhere and why. */

import { sql } from 'kysely';
import type { Notice } from '#contract/notifications.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { digestOf } from '../channels/channel.ts';
import { type AlertNotice, type Message, type ToldAlert, titleOf } from '../message.ts';
import type { DeliveryRow, NotificationTables } from '../migrations.ts';

const tables = (source: Database | Transaction) => source.tables<NotificationTables>();

export interface NewDelivery {
  readonly id: string;
  readonly channelId: string | null;
  readonly grp: string;
  readonly project: string | null;
  readonly message: Message;
  readonly state: Notice['state'];
  /** When it is written and may be sent, as the steady clock. */
  readonly nowMs: number;
  /** Why it went to nobody. */
  readonly remark?: string;
}

/** A message of the same key is there only once, whoever asks how often. */
export async function insertDelivery(tx: Transaction, one: NewDelivery): Promise<void> {
  await tables(tx)
    .insertInto('delivery')
    .values({
      id: one.id,
      key: one.message.key,
      channel_id: one.channelId,
      grp: one.grp,
      project: one.project,
      severity: one.message.severity,
      title: one.message.title,
      kind: one.message.kind,
      message: JSON.stringify(one.message),
      state: one.state,
      next_ms: one.nowMs,
      created_ms: one.nowMs,
      at: new Date(one.message.atMs).toISOString(),
      last_error: one.remark ?? null,
    })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute();
}

export const messageOfRow = (row: Pick<DeliveryRow, 'message'>): Message => JSON.parse(row.message);

/** Messages of a channel that wait and name an alert. */
export function waitingAbout(tx: Transaction, channelId: string, fingerprint: string): Promise<DeliveryRow[]> {
  return tables(tx)
    .selectFrom('delivery')
    .selectAll()
    .where('channel_id', '=', channelId)
    .where('state', '=', 'waiting')
    .where(sql<boolean>`instr(message, ${JSON.stringify(fingerprint)}) > 0`)
    .orderBy('created_ms')
    .orderBy('id')
    .execute();
}

/** Gives a message that is not being sent other alerts; what says nothing then is not sent. What was tried before may have arrived: it goes
 *  under another key, or a receiver would take it for known. */
export async function rewrite(
  tx: Transaction,
  row: DeliveryRow,
  alerts: readonly ToldAlert[],
  titleTemplate: string | null,
): Promise<void> {
  const message = messageOfRow(row);
  const update = tables(tx).updateTable('delivery').where('id', '=', row.id);
  if (alerts.length === 0 && (message.kind !== 'digest' || message.text === '')) {
    await update.set({ state: 'merged' }).execute();
    return;
  }
  const words = alerts.map(({ kind, notice }) => `${notice.fingerprint}:${notice.episode}:${kind}`);
  const key = row.attempts > 0 ? digestOf(`${message.key}|${words.join('|')}`) : message.key;
  const title = message.kind === 'digest' ? message.title : titleOf(titleTemplate, alerts);
  await update.set({ key, title, progress: 0, message: JSON.stringify({ ...message, key, title, alerts }) }).execute();
}

export function findDelivery(source: Database | Transaction, id: string): Promise<DeliveryRow | undefined> {
  return tables(source).selectFrom('delivery').selectAll().where('id', '=', id).executeTakeFirst();
}

/** Ids and times of what waits, the oldest first; small, however large the messages. */
export function waitingDeliveries(
  source: Database | Transaction,
): Promise<Pick<DeliveryRow, 'id' | 'channel_id' | 'next_ms' | 'severity' | 'kind'>[]> {
  return tables(source)
    .selectFrom('delivery')
    .select(['id', 'channel_id', 'next_ms', 'severity', 'kind'])
    .where('state', '=', 'waiting')
    .orderBy('created_ms')
    .orderBy('id')
    .execute();
}

/** How many went out through a channel since. */
export async function sentSince(
  source: Database | Transaction,
  channelId: string,
  sinceMs: number,
): Promise<{ readonly critical: number; readonly other: number; readonly newestDigestMs: number | null }> {
  const rows = await tables(source)
    .selectFrom('delivery')
    .select(['severity', 'kind', 'sent_ms'])
    .where('channel_id', '=', channelId)
    .where('sent_ms', '>', sinceMs)
    .execute();
  const counted = rows.filter(({ kind }) => kind === 'alert' || kind === 'event');
  const digests = rows.flatMap(({ kind, sent_ms }) => (kind === 'digest' && sent_ms !== null ? [sent_ms] : []));
  return {
    critical: counted.filter(({ severity }) => severity === 'critical').length,
    other: counted.filter(({ severity }) => severity !== 'critical').length,
    newestDigestMs: digests.length === 0 ? null : Math.max(...digests),
  };
}

/** Kept of what is over: for people to look at, and to tell a repeated key. */
const KEPT_ROWS = 10_000;

export async function trimDeliveries(db: Database): Promise<void> {
  await tables(db)
    .deleteFrom('delivery')
    .where('state', '!=', 'waiting')
    .where('id', 'in', (query) =>
      query.selectFrom('delivery').select('id').orderBy('id', 'desc').limit(100_000).offset(KEPT_ROWS),
    )
    .execute();
}

/** A notice that went to nobody, as a row for people. */
export function keptBack(
  notice: AlertNotice,
  key: string,
  facts: { host: string; origin: string; atMs: number },
): Message {
  const alerts = [{ kind: notice.kind, notice }];
  return {
    key,
    thread: key,
    kind: 'alert',
    severity: notice.severity,
    title: titleOf(null, alerts),
    text: '',
    alerts,
    ...facts,
  };
}
