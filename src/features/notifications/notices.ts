/** The list of messages, as people see it. */

import type { Notice } from '#contract/notifications.ts';
import { AppError } from '#kernel/errors.ts';
import type { Database } from '#platform/db/database.ts';
import type { ChannelEntry } from './channel-registry.ts';
import type { DeliveryRow, NotificationTables } from './migrations.ts';
import { messageOfRow, rewrite } from './outbox/deliveries.ts';
import { alertsAsTheyAre } from './outbox/ends.ts';

export interface NoticeQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly state?: Notice['state'] | undefined;
  readonly channelId?: string | undefined;
  /** Null = all. */
  readonly projects: readonly string[] | null;
  /** Whether the one who asks may see a channel: what it answered may tell of its machine. */
  seesChannel(id: string): boolean;
}

export interface Notices {
  list(query: NoticeQuery): Promise<{ items: Notice[]; next: string | null }>;
  find(id: string): Promise<DeliveryRow | null>;
  view(row: Omit<DeliveryRow, 'message' | 'grp' | 'key'>): Notice;
  /** What was given up waits again; what is over by now says so. @throws AppError notice_not_dead */
  retry(row: DeliveryRow): Promise<DeliveryRow>;
}

export interface NoticeDependencies {
  readonly db: Database;
  channel(id: string): ChannelEntry | null;
  nowMs(): number;
  wallMs(): number;
}

export function createNotices({ db, channel, nowMs, wallMs }: NoticeDependencies): Notices {
  const tables = () => db.tables<NotificationTables>();
  const find = async (id: string) =>
    (await tables().selectFrom('delivery').selectAll().where('id', '=', id).executeTakeFirst()) ?? null;
  const view: Notices['view'] = (row) => ({
    id: row.id,
    at: row.at,
    project: row.project,
    channelId: row.channel_id,
    channel: row.channel_id === null ? null : (channel(row.channel_id)?.name ?? row.channel_id),
    severity: row.severity,
    title: row.title,
    state: row.state,
    attempts: row.attempts,
    nextAt: row.state === 'waiting' ? new Date(wallMs() + Math.max(0, row.next_ms - nowMs())).toISOString() : null,
    sentAt: row.sent_at,
    lastError: row.last_error,
  });
  return {
    find,
    view,
    async list({ limit, cursor, state, channelId, projects, seesChannel }) {
      let query = tables().selectFrom('delivery').selectAll().orderBy('id', 'desc');
      if (cursor !== undefined) query = query.where('id', '<', cursor);
      if (state !== undefined) query = query.where('state', '=', state);
      if (channelId !== undefined) query = query.where('channel_id', '=', channelId);
      if (projects !== null) query = query.where('project', 'in', projects);
      const rows = await query.limit(limit + 1).execute();
      const shown = rows.slice(0, limit);
      const seen = (notice: Notice): Notice =>
        notice.channelId === null || seesChannel(notice.channelId)
          ? notice
          : { ...notice, channelId: null, channel: null, lastError: null };
      return { items: shown.map(view).map(seen), next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
    },
    async retry(row) {
      if (row.state !== 'dead')
        throw new AppError('notice_not_dead', { detail: `The message ${row.id} is ${row.state.replace('_', ' ')}.` });
      await db.transaction(async (tx) => {
        const { numUpdatedRows } = await tx
          .tables<NotificationTables>()
          .updateTable('delivery')
          .set({ state: 'waiting', waited_ms: 0, next_ms: nowMs() })
          .where('id', '=', row.id)
          .where('state', '=', 'dead')
          .executeTakeFirst();
        if (numUpdatedRows === 0n) return;
        const title = row.channel_id === null ? null : (channel(row.channel_id)?.title ?? null);
        const alerts = await alertsAsTheyAre(tx, messageOfRow(row));
        if (alerts !== null) await rewrite(tx, row, alerts, title);
      });
      return (await find(row.id)) ?? row;
    },
  };
}
