/** The tables of notifications.
 *  `channel`: where to; secrets are sealed. `channel_state`: how it went, for configured ones too. `announced`: notices that wait for their
 *  group. `told_alert`: what is known of each fingerprint and who was told. `delivery`: the outbox and its history. `silence`: planned quiet.
 *  Times ending in `_ms` are those of the steady clock (`steady-clock.ts`). */

import type { Generated, Selectable } from 'kysely';
import type { Severity } from '#contract/alerts-config.ts';
import type { ChannelKind, Notice } from '#contract/notifications.ts';
import type { Migration } from '#platform/db/database.ts';

export interface ChannelRow {
  id: string;
  name: string;
  kind: ChannelKind;
  project: string | null;
  is_enabled: number;
  title: string | null;
  settings: string;
  sealed: string;
  created_at: string;
}

export interface ChannelStateRow {
  channel_id: string;
  /** 1 = the newest attempt failed. */
  is_failing: number;
  last_error: string | null;
  last_sent_at: string | null;
  tested_ms: number | null;
}

interface ToldAlertTable {
  fp: string;
  is_firing: number;
  /** The newest notice as JSON. */
  notice: string;
  changed_ms: number;
  /** When anybody was told last, for cooldown and repeats. */
  told_ms: number | null;
  first_told_ms: number | null;
  /** Channel → delivery by which it heard that this fires. */
  told: Generated<string>;
  /** The worst severity that was told. */
  told_severity: Severity | null;
  /** `silence:<id>` or `inhibited`: nobody was told for that reason. `heard`: all heard of it by another alert. */
  hold: string | null;
  /** Channel → fingerprint of the alert that speaks for it there. */
  spared: Generated<string>;
  /** The alert for whose sake somebody was not told: `{alertId, rule}`. */
  held_by: string | null;
  is_acked: Generated<number>;
  escalated: Generated<number>;
  tellings: Generated<number>;
}
export type ToldAlertRow = Selectable<ToldAlertTable>;

interface DeliveryTable {
  id: string;
  key: string;
  channel_id: string | null;
  grp: string;
  project: string | null;
  severity: Severity;
  title: string;
  kind: 'alert' | 'event' | 'test' | 'digest';
  message: string;
  state: Notice['state'];
  attempts: Generated<number>;
  /** Sum of the pauses so far: what giving up is measured by, so that a leap of the clock gives nothing up. */
  waited_ms: Generated<number>;
  next_ms: number;
  /** When it was written, for order and age: `at` is for people and may leap. */
  created_ms: Generated<number>;
  /** Requests of the message that were taken, where one message is many. */
  progress: Generated<number>;
  at: string;
  sent_ms: number | null;
  sent_at: string | null;
  last_error: string | null;
}
export type DeliveryRow = Selectable<DeliveryTable>;

export interface NotificationTables {
  channel: ChannelRow;
  channel_state: ChannelStateRow;
  announced: { id: Generated<number>; grp: string; at_ms: number; kind: 'alert' | 'event'; body: string };
  notice_group: { grp: string; told_ms: number };
  told_alert: ToldAlertTable;
  delivery: DeliveryTable;
  silence: {
    id: string;
    project: string | null;
    matcher: string;
    from_at: string;
    to_at: string;
    cron: string | null;
    duration_minutes: number | null;
    reason: string;
    created_by: string;
    created_at: string;
    hits: number;
    may_hide_security: number;
  };
  notification_routing: { id: number; routing: string };
}

export const notificationMigrations: readonly Migration[] = [
  {
    id: '001-notifications',
    statements: [
      `CREATE TABLE channel(
         id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, project TEXT, is_enabled INTEGER NOT NULL, title TEXT,
         settings TEXT NOT NULL, sealed TEXT NOT NULL, created_at TEXT NOT NULL) STRICT`,
      `CREATE TABLE channel_state(
         channel_id TEXT PRIMARY KEY, is_failing INTEGER NOT NULL DEFAULT 0, last_error TEXT, last_sent_at TEXT, tested_ms INTEGER) STRICT`,
      `CREATE TABLE announced(
         id INTEGER PRIMARY KEY AUTOINCREMENT, grp TEXT NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL) STRICT`,
      'CREATE TABLE notice_group(grp TEXT PRIMARY KEY, told_ms INTEGER NOT NULL) STRICT',
      `CREATE TABLE told_alert(
         fp TEXT PRIMARY KEY, is_firing INTEGER NOT NULL, notice TEXT NOT NULL, changed_ms INTEGER NOT NULL, told_ms INTEGER,
         first_told_ms INTEGER, told TEXT NOT NULL DEFAULT '{}', told_severity TEXT, hold TEXT, is_acked INTEGER NOT NULL DEFAULT 0,
         escalated INTEGER NOT NULL DEFAULT 0, tellings INTEGER NOT NULL DEFAULT 0) STRICT`,
      'CREATE INDEX told_alert_firing ON told_alert(is_firing)',
      `CREATE TABLE delivery(
         id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, channel_id TEXT, grp TEXT NOT NULL, project TEXT, severity TEXT NOT NULL,
         title TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
         waited_ms INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL DEFAULT 0, at TEXT NOT NULL, sent_ms INTEGER, sent_at TEXT,
         last_error TEXT) STRICT`,
      'CREATE INDEX delivery_by_state ON delivery(state, next_ms)',
      'CREATE INDEX delivery_sent ON delivery(channel_id, sent_ms)',
      `CREATE TABLE silence(
         id TEXT PRIMARY KEY, project TEXT, matcher TEXT NOT NULL, from_at TEXT NOT NULL, to_at TEXT NOT NULL, cron TEXT,
         duration_minutes INTEGER, reason TEXT NOT NULL, created_by TEXT NOT NULL, created_at TEXT NOT NULL,
         hits INTEGER NOT NULL DEFAULT 0, may_hide_security INTEGER NOT NULL) STRICT`,
      'CREATE TABLE notification_routing(id INTEGER PRIMARY KEY CHECK(id = 1), routing TEXT NOT NULL) STRICT',
    ],
  },
  {
    id: '002-order-and-progress',
    statements: [
      'ALTER TABLE delivery ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0',
      'ALTER TABLE delivery ADD COLUMN progress INTEGER NOT NULL DEFAULT 0',
      'UPDATE delivery SET created_ms = CAST(unixepoch(at) AS INTEGER) * 1000',
    ],
  },
  {
    id: '003-precedence',
    statements: [
      "ALTER TABLE told_alert ADD COLUMN spared TEXT NOT NULL DEFAULT '{}'",
      'ALTER TABLE told_alert ADD COLUMN held_by TEXT',
    ],
  },
  {
    id: '004-firing-times',
    // Whether anything of what fires has changed is asked for each group that is told; this answers without a look at the rows.
    statements: ['DROP INDEX told_alert_firing', 'CREATE INDEX told_alert_firing ON told_alert(is_firing, changed_ms)'],
  },
];
