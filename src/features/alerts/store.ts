/** The rows of alerts, of what happened to them, of changed rules, and of what operations hid. What is in memory follows the database, never
 *  the other way round. */

import { type Generated, sql } from 'kysely';
import type { AlertPhase } from '#contract/alerts.ts';
import type { Severity } from '#contract/alerts-config.ts';
import type { EntityKind } from '#contract/metric-catalogue.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';

export const alertMigrations: readonly Migration[] = [
  {
    id: '001-alerts',
    statements: [
      `CREATE TABLE alert_rule(
         id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, project TEXT, spec TEXT NOT NULL, changed_by TEXT NOT NULL,
         changed_at TEXT NOT NULL) STRICT`,
      `CREATE TABLE alert(
         id TEXT PRIMARY KEY, rule_id TEXT NOT NULL, rule_name TEXT NOT NULL, owner_type TEXT NOT NULL CHECK(owner_type IN ('host','vm')), owner_id TEXT NOT NULL,
         kind TEXT NOT NULL, sub TEXT NOT NULL, labels TEXT NOT NULL, project TEXT, phase TEXT NOT NULL, episode INTEGER NOT NULL,
         since_ms INTEGER NOT NULL, started_ms INTEGER, ended_ms INTEGER, severity TEXT NOT NULL, value REAL, is_no_data INTEGER NOT NULL,
         acked_by TEXT, acked_ms INTEGER, told_episode INTEGER, mask TEXT, timers TEXT NOT NULL) STRICT`,
      "CREATE INDEX alert_by_end ON alert(ended_ms) WHERE phase = 'ok'",
      `CREATE TABLE alert_event(
         id INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL, episode INTEGER NOT NULL, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
         severity TEXT NOT NULL, rule_id TEXT NOT NULL, rule_name TEXT NOT NULL, entity_kind TEXT NOT NULL, entity_name TEXT NOT NULL,
         project TEXT, vm_id TEXT, value REAL, reason TEXT) STRICT`,
      'CREATE INDEX alert_event_by_alert ON alert_event(alert_id, id)',
      'CREATE INDEX alert_event_by_time ON alert_event(at_ms)',
      `CREATE TABLE alert_mark(
         id INTEGER PRIMARY KEY CHECK(id = 1), boot_id TEXT, boot_ms REAL, wall_ms INTEGER NOT NULL) STRICT`,
      `CREATE TABLE alert_mask(
         operation_id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, operation_kind TEXT NOT NULL, title TEXT NOT NULL, from_ms INTEGER NOT NULL,
         until_ms INTEGER) STRICT`,
      'CREATE INDEX alert_mask_by_time ON alert_mask(from_ms)',
    ],
  },
  {
    id: '002-notes',
    statements: ['ALTER TABLE alert ADD COLUMN acked_note TEXT', 'ALTER TABLE alert_event ADD COLUMN note TEXT'],
  },
  {
    id: '003-figures-in-words',
    statements: [
      "ALTER TABLE alert_event ADD COLUMN value_text TEXT NOT NULL DEFAULT ''",
      "ALTER TABLE alert_event ADD COLUMN limit_text TEXT NOT NULL DEFAULT ''",
      "CREATE INDEX alert_event_fired ON alert_event(rule_id, at_ms) WHERE kind = 'firing'",
    ],
  },
];

export interface RuleRow {
  readonly id: string;
  readonly name: string;
  readonly project: string | null;
  /** `AlertRuleSpec` as JSON. */
  readonly spec: string;
  readonly changed_by: string;
  readonly changed_at: string;
}

export interface AlertRow {
  readonly id: string;
  readonly rule_id: string;
  readonly rule_name: string;
  readonly owner_type: 'host' | 'vm';
  readonly owner_id: string;
  readonly kind: EntityKind;
  readonly sub: string;
  /** JSON. */
  readonly labels: string;
  readonly project: string | null;
  readonly phase: AlertPhase;
  readonly episode: number;
  readonly since_ms: number;
  readonly started_ms: number | null;
  readonly ended_ms: number | null;
  readonly severity: Severity;
  readonly value: number | null;
  readonly is_no_data: number;
  readonly acked_by: string | null;
  readonly acked_ms: number | null;
  readonly acked_note: string | null;
  readonly told_episode: number | null;
  /** `Mask` as JSON. */
  readonly mask: string | null;
  /** `Timers` as JSON. */
  readonly timers: string;
}

export interface EventRow {
  readonly id: number;
  readonly alert_id: string;
  readonly episode: number;
  readonly at_ms: number;
  readonly kind: string;
  readonly severity: Severity;
  readonly rule_id: string;
  readonly rule_name: string;
  readonly entity_kind: EntityKind;
  readonly entity_name: string;
  readonly project: string | null;
  readonly vm_id: string | null;
  readonly value: number | null;
  readonly value_text: string;
  readonly limit_text: string;
  readonly reason: string | null;
  readonly note: string | null;
}

/** When the last evaluation was, by the clock that counts since the host booted and by the wall. */
export interface Mark {
  readonly boot: { readonly id: string; readonly ms: number } | null;
  readonly wallMs: number;
}

export interface MaskRow {
  readonly operation_id: string;
  readonly vm_id: string;
  readonly operation_kind: string;
  readonly title: string;
  readonly from_ms: number;
  /** Null while it hides. */
  readonly until_ms: number | null;
}

interface AlertTables {
  alert_rule: RuleRow;
  alert: AlertRow;
  alert_event: Omit<EventRow, 'id'> & { readonly id: Generated<number> };
  alert_mark: { id: 1; boot_id: string | null; boot_ms: number | null; wall_ms: number };
  alert_mask: MaskRow;
}

/** Only what is of these projects and VMs; null = all. */
export type Reach = { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;

export interface EventQuery {
  readonly limit: number;
  /** Only events with a smaller id. */
  readonly before?: number | undefined;
  readonly alertId?: string | undefined;
  readonly severity?: Severity | undefined;
  readonly project?: string | undefined;
  readonly vmId?: string | undefined;
  /** Id or name. */
  readonly rule?: string | undefined;
  readonly text?: string | undefined;
  readonly fromMs?: number | undefined;
  readonly toMs?: number | undefined;
  readonly of: Reach;
}

const DAY_MS = 86_400_000;
/** What is over is forgotten after so long. */
const KEPT_MS = 90 * DAY_MS;

export type AlertStore = ReturnType<typeof createAlertStore>;

export function createAlertStore(db: Database) {
  const tables = (at: Database | Transaction = db) => at.tables<AlertTables>();

  return {
    rules: () => tables().selectFrom('alert_rule').selectAll().orderBy('name').execute(),
    alerts: () => tables().selectFrom('alert').selectAll().execute(),
    async mark(): Promise<Mark | null> {
      const row = await tables().selectFrom('alert_mark').selectAll().executeTakeFirst();
      if (row === undefined) return null;
      const boot = row.boot_id === null || row.boot_ms === null ? null : { id: row.boot_id, ms: row.boot_ms };
      return { boot, wallMs: row.wall_ms };
    },
    openMasks: () => tables().selectFrom('alert_mask').selectAll().where('until_ms', 'is', null).execute(),
    masksWithin: (fromMs: number, toMs: number) =>
      tables()
        .selectFrom('alert_mask')
        .selectAll()
        .where('from_ms', '<=', toMs)
        .where((is) => is.or([is('until_ms', 'is', null), is('until_ms', '>=', fromMs)]))
        .execute(),

    async putRule(tx: Transaction, row: RuleRow): Promise<void> {
      const { id: _id, ...values } = row;
      await tables(tx)
        .insertInto('alert_rule')
        .values(row)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute();
    },
    removeRule: (tx: Transaction, id: string) => tables(tx).deleteFrom('alert_rule').where('id', '=', id).execute(),

    async putAlert(tx: Transaction, row: AlertRow): Promise<void> {
      const { id: _id, ...values } = row;
      await tables(tx)
        .insertInto('alert')
        .values(row)
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute();
    },
    removeAlert: (tx: Transaction, id: string) => tables(tx).deleteFrom('alert').where('id', '=', id).execute(),
    /** @returns its number */
    async addEvent(tx: Transaction, event: Omit<EventRow, 'id'>): Promise<number> {
      const { insertId } = await tables(tx).insertInto('alert_event').values(event).executeTakeFirstOrThrow();
      return Number(insertId);
    },
    async putMark(tx: Transaction, { boot, wallMs }: Mark): Promise<void> {
      const values = { boot_id: boot?.id ?? null, boot_ms: boot?.ms ?? null, wall_ms: wallMs };
      await tables(tx)
        .insertInto('alert_mark')
        .values({ id: 1, ...values })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute();
    },
    async putMask(tx: Transaction, row: MaskRow): Promise<void> {
      await tables(tx)
        .insertInto('alert_mask')
        .values(row)
        .onConflict((conflict) => conflict.column('operation_id').doUpdateSet({ until_ms: row.until_ms }))
        .execute();
    },

    async events(query: EventQuery): Promise<{ items: EventRow[]; hasMore: boolean; total: number }> {
      let found = tables().selectFrom('alert_event');
      const { of, text } = query;
      if (query.alertId !== undefined) found = found.where('alert_id', '=', query.alertId);
      if (query.severity !== undefined) found = found.where('severity', '=', query.severity);
      if (query.project !== undefined) found = found.where('project', '=', query.project);
      if (query.vmId !== undefined) found = found.where('vm_id', '=', query.vmId);
      const { rule } = query;
      if (rule !== undefined)
        found = found.where((is) => is.or([is('rule_id', '=', rule), is('rule_name', '=', rule)]));
      if (query.fromMs !== undefined) found = found.where('at_ms', '>=', query.fromMs);
      if (query.toMs !== undefined) found = found.where('at_ms', '<=', query.toMs);
      if (text !== undefined) {
        const pattern = `%${text.replaceAll(/[\\%_]/g, '\\$&')}%`;
        found = found.where(({ eb, fn, val }) =>
          eb.or([
            eb(fn('like', [val(pattern), 'rule_name', val('\\')]), '=', 1),
            eb(fn('like', [val(pattern), 'entity_name', val('\\')]), '=', 1),
          ]),
        );
      }
      if (of !== null)
        found = found.where((is) => is.or([is('project', 'in', of.projects), is('vm_id', 'in', of.vms)]));
      const { total } = await found.select((is) => is.fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
      const page = query.before === undefined ? found : found.where('id', '<', query.before);
      const rows = await page
        .selectAll()
        .orderBy('id', 'desc')
        .limit(query.limit + 1)
        .execute();
      const items = rows.slice(0, query.limit).map((row) => ({ ...row, id: Number(row.id) }));
      return { items, hasMore: rows.length > query.limit, total };
    },

    /** When alerts of a rule began to fire last; null when the history knows of none. */
    async lastFiredMs(ruleId: string, of: Reach): Promise<number | null> {
      let found = tables()
        .selectFrom('alert_event')
        .where('rule_id', '=', ruleId)
        .where('kind', '=', sql.lit('firing'));
      if (of !== null)
        found = found.where((is) => is.or([is('project', 'in', of.projects), is('vm_id', 'in', of.vms)]));
      const newest = await found.select('at_ms').orderBy('at_ms', 'desc').limit(1).executeTakeFirst();
      return newest?.at_ms ?? null;
    },

    /** Forgets what has long been over. @returns the ids of forgotten alerts */
    async prune(nowMs: number): Promise<readonly string[]> {
      const limit = nowMs - KEPT_MS;
      return db.transaction(async (tx) => {
        const at = tables(tx);
        await at.deleteFrom('alert_event').where('at_ms', '<', limit).execute();
        await at.deleteFrom('alert_mask').where('until_ms', '<', limit).execute();
        const gone = await at
          .deleteFrom('alert')
          .where('phase', '=', 'ok')
          .where('told_episode', 'is', null)
          .where('ended_ms', '<', limit)
          .returning('id')
          .execute();
        return gone.map(({ id }) => id);
      });
    },
  };
}
