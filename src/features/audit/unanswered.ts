/** Intents that never got an outcome because the daemon ended in between: each becomes a record with the outcome `unknown` and a problem on the
 *  overview, because what it changed is for a person to look at. */

import { sql } from 'kysely';
import type { Clock } from '#kernel/clock.ts';
import type { Database } from '#platform/db/database.ts';
import { viewOfBody } from './body.ts';
import type { AuditTables } from './migrations.ts';
import type { StoredRecord } from './reader.ts';
import type { Writer } from './writer.ts';

const MARK = 'answered';
/** A finding is shown for so long. */
const SHOWN_MS = 7 * 86_400_000;

export interface Unanswered {
  /** Looks at what earlier lives left. Operations that are still open get their outcome when they end.
   *  Resolves with the number of new findings. */
  find(isOpenOperation: (id: string) => Promise<boolean>): Promise<number>;
  /** Findings of the last week. */
  recent(): Promise<number>;
}

export function createUnanswered({ db, clock, writer }: { db: Database; clock: Clock; writer: Writer }): Unanswered {
  const tables = () => db.tables<AuditTables>();

  return {
    async find(isOpenOperation) {
      const mark = await tables().selectFrom('audit_mark').select('seq').where('name', '=', MARK).executeTakeFirst();
      const after = mark?.seq ?? 0;
      const { rows } = await sql<StoredRecord>`
        SELECT seq, body, hash FROM audit AS asked WHERE seq > ${after} AND +phase = 'intent' AND NOT EXISTS (
          SELECT 1 FROM audit AS answer WHERE answer.seq > asked.seq AND +answer.phase = 'outcome'
            AND coalesce(answer.operation_id, answer.request_id) = coalesce(asked.operation_id, asked.request_id))
        ORDER BY seq`.execute(tables());
      const views = rows.map(({ seq, body, hash }) => viewOfBody(seq, body, hash));
      const open: typeof views = [];
      const lost: typeof views = [];
      for (const view of views) {
        const { operationId, requestId } = view;
        const isOpen =
          writer.isOpen(operationId ?? requestId ?? '') ||
          (operationId !== null && (await isOpenOperation(operationId)));
        (isOpen ? open : lost).push(view);
      }
      const last = await writer.head();
      await db.transaction(async (tx) => {
        for (const { id: _id, at: _at, seq, hash: _hash, ...view } of lost) {
          await writer.write(tx, {
            ...view,
            phase: 'outcome',
            outcome: 'unknown',
            code: 'interrupted',
            params: { intent: seq },
            durationMs: null,
            sessionId: null,
          });
        }
        // Those that are open now are looked at again after the next end.
        const seq = open.length > 0 ? Math.min(...open.map((view) => view.seq)) - 1 : last.seq;
        await tx
          .tables<AuditTables>()
          .insertInto('audit_mark')
          .values({ name: MARK, seq })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ seq }))
          .execute();
      });
      return lost.length;
    },
    async recent() {
      const since = new Date(clock.now().getTime() - SHOWN_MS).toISOString();
      const { count } = await tables()
        .selectFrom('audit')
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .where('outcome', '=', 'unknown')
        .where(sql<boolean>`+at >= ${since}`)
        .executeTakeFirstOrThrow();
      return count;
    },
  };
}
