/** The audit table: append-only from the program's side, read newest first. */

import type { Generated } from 'kysely';
import type { ApiEvents } from '#contract/events.ts';
import type { AuditRecord } from '#contract/system.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';

interface AuditTables {
  audit: {
    seq: Generated<number>;
    id: string;
    at: string;
    phase: AuditRecord['phase'];
    outcome: AuditRecord['outcome'];
    actor: string;
    via: string;
    address: string | null;
    action: string;
    permission: string | null;
    object_type: string | null;
    object_id: string | null;
    object_name: string | null;
    request_id: string | null;
    operation_id: string | null;
    code: string | null;
  };
}

export const auditMigrations: readonly Migration[] = [
  {
    id: '001-audit',
    statements: [
      `CREATE TABLE audit(
         seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at TEXT NOT NULL,
         phase TEXT NOT NULL CHECK(phase IN ('intent','outcome')),
         outcome TEXT CHECK(outcome IN ('done','failed','cancelled','denied','invalid')),
         actor TEXT NOT NULL, via TEXT NOT NULL, address TEXT, action TEXT NOT NULL, permission TEXT,
         object_type TEXT, object_id TEXT, object_name TEXT, request_id TEXT, operation_id TEXT, code TEXT) STRICT`,
      'CREATE INDEX audit_by_object ON audit(object_id)',
      'CREATE INDEX audit_by_actor ON audit(actor)',
    ],
  },
];

/** One record without what the store adds. */
export type AuditEntry = Omit<AuditRecord, 'id' | 'at'>;

export interface AuditQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
  readonly objectId?: string | undefined;
  readonly outcome?: NonNullable<AuditRecord['outcome']> | undefined;
  readonly since?: string | undefined;
}

export interface AuditApi {
  /** Writes a record inside the caller's transaction, so that the change and its record stand or fall together. */
  write(tx: Transaction, entry: AuditEntry): Promise<void>;
  /** Writes a record in a transaction of its own. @throws AppError `unavailable` when it cannot be recorded */
  record(entry: AuditEntry): Promise<void>;
  list(query: AuditQuery): Promise<{ items: AuditRecord[]; next: string | null; total: number }>;
}

/** Longest text that is kept of anything a caller chose. */
const MAX_TEXT = 300;

const clip = (text: string | null): string | null => (text === null ? null : text.slice(0, MAX_TEXT));

export function createAuditStore({
  db,
  clock,
  events,
}: {
  db: Database;
  clock: Clock;
  events: EventBus<ApiEvents>;
}): AuditApi {
  const write = async (tx: Transaction, entry: AuditEntry): Promise<void> => {
    const now = clock.now();
    const record: AuditRecord = {
      ...entry,
      id: newId('aud', now.getTime()),
      at: now.toISOString(),
      objectId: clip(entry.objectId),
      objectName: clip(entry.objectName),
    };
    await tx
      .tables<AuditTables>()
      .insertInto('audit')
      .values({
        id: record.id,
        at: record.at,
        phase: record.phase,
        outcome: record.outcome,
        actor: record.actor,
        via: record.via,
        address: record.address,
        action: record.action,
        permission: record.permission,
        object_type: record.objectType,
        object_id: record.objectId,
        object_name: record.objectName,
        request_id: record.requestId,
        operation_id: record.operationId,
        code: record.code,
      })
      .execute();
    tx.afterCommit(() => events.emit('audit.recorded', record));
  };

  return {
    write,
    record: (entry) => db.transaction((tx) => write(tx, entry)),
    async list(query) {
      let filtered = db.tables<AuditTables>().selectFrom('audit');
      if (query.actor) filtered = filtered.where('actor', '=', query.actor);
      if (query.action) filtered = filtered.where('action', '=', query.action);
      if (query.objectId) filtered = filtered.where('object_id', '=', query.objectId);
      if (query.outcome) filtered = filtered.where('outcome', '=', query.outcome);
      if (query.since) filtered = filtered.where('at', '>=', query.since);
      const { total } = await filtered.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
      const after = query.cursor ? Number.parseInt(query.cursor, 10) : Number.NaN;
      const page = Number.isSafeInteger(after) ? filtered.where('seq', '<', after) : filtered;
      const rows = await page
        .selectAll()
        .orderBy('seq', 'desc')
        .limit(query.limit + 1)
        .execute();
      const items = rows.slice(0, query.limit);
      const last = items.at(-1);
      return {
        items: items.map((row) => ({
          id: row.id,
          at: row.at,
          phase: row.phase,
          outcome: row.outcome,
          actor: row.actor,
          via: row.via,
          address: row.address,
          action: row.action,
          permission: row.permission,
          objectType: row.object_type,
          objectId: row.object_id,
          objectName: row.object_name,
          requestId: row.request_id,
          operationId: row.operation_id,
          code: row.code,
        })),
        next: rows.length > query.limit && last ? String(last.seq) : null,
        total,
      };
    },
  };
}
