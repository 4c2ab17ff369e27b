/** Many messages of one channel as one. */

import { newId } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import { digestOf } from '../channels/channel.ts';
import { type Message, type ToldAlert, worstOf } from '../message.ts';
import type { NotificationTables } from '../migrations.ts';
import { insertDelivery, messageOfRow } from './deliveries.ts';

/** @param ids of waiting deliveries of one channel, the oldest first
 *  @param facts when it is, by the wall and by the steady clock */
export function mergeIntoDigest(
  db: Database,
  channelId: string,
  ids: readonly string[],
  facts: { readonly wallMs: number; readonly nowMs: number },
): Promise<void> {
  return db.transaction(async (tx) => {
    const tables = tx.tables<NotificationTables>();
    const rows = await tables
      .selectFrom('delivery')
      .selectAll()
      .where('id', 'in', ids)
      .where('state', '=', 'waiting')
      .orderBy('created_ms')
      .orderBy('id')
      .execute();
    const messages = rows.map(messageOfRow);
    const [first] = messages;
    if (first === undefined) return;
    // The newest word about each alert counts.
    const alerts = new Map<string, ToldAlert>();
    for (const alert of messages.flatMap((message) => message.alerts)) alerts.set(alert.notice.fingerprint, alert);
    const events = messages.filter((message) => message.alerts.length === 0).map(({ title }) => title);
    const message: Message = {
      ...first,
      key: digestOf(`${channelId}|digest|${rows.map(({ key }) => key).join('|')}`),
      thread: `digest:${channelId}`,
      kind: 'digest',
      severity: worstOf(messages.map(({ severity }) => severity)),
      title: `${messages.length} messages in one: more than this channel takes in an hour`,
      text: events.slice(0, 20).join('\n'),
      alerts: [...alerts.values()],
      atMs: facts.wallMs,
    };
    await insertDelivery(tx, {
      id: newId('ntc', facts.wallMs),
      channelId,
      grp: message.thread,
      project: rows.every(({ project }) => project === rows[0]?.project) ? (rows[0]?.project ?? null) : null,
      message,
      state: 'waiting',
      nowMs: facts.nowMs,
    });
    await tables.updateTable('delivery').set({ state: 'merged' }).where('id', 'in', ids).execute();
  });
}
