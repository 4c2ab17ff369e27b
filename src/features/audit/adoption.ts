/** Takes records of the time before the chain into it, once, at the first start: their text as it is, their hashes from now on. */

import type { Database } from '#platform/db/database.ts';
import type { AuditTables } from './migrations.ts';
import type { Writer } from './writer.ts';

const GROUP = 1000;

/** Resolves with the number of records taken. A crash in between goes on at the next start. */
export async function adoptOldRecords(db: Database, writer: Pick<Writer, 'adopt'>): Promise<number> {
  let taken = 0;
  for (;;) {
    const count = await db.transaction(async (tx) => {
      const tables = tx.tables<AuditTables>();
      const rows = await tables.selectFrom('audit_before_chain').selectAll().orderBy('seq').limit(GROUP).execute();
      const last = rows.at(-1);
      if (!last) return 0;
      for (const row of rows) {
        await writer.adopt(tx, {
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
          actorId: null,
          method: null,
          sessionId: null,
          project: null,
          grant: null,
          params: null,
          durationMs: null,
        });
      }
      await tables.deleteFrom('audit_before_chain').where('seq', '<=', last.seq).execute();
      return rows.length;
    });
    if (count === 0) return taken;
    taken += count;
  }
}
