/** Intents that never got an outcome because the daemon ended in between: each becomes a record with the outcome `unknown` and a problem on the
 *  overview, because what it changed is for a person to look at. */

import { sql } from 'kysely';
import type { Clock } from '#kernel/clock.ts';
import type { Database } from '#platform/db/database.ts';
import { viewOfBody } from './body.ts';
import type { AuditTables } from './migrations.ts';
import type { Writer } from './writer.ts';

const MARK = 'answered';
/** A finding is shown for so long. */
const SHOWN_MS = 7 * 86_400_000;
const SLICE = 1000;
/** Findings of one transaction. */
const GROUP = 200;

interface Subject {
  readonly seq: number;
  readonly phase: string;
  /** Id of the operation, else of the request. */
  readonly subject: string;
}

export interface Unanswered {
  /** Looks at what earlier lives left. Operations that are still open get their outcome when they end.
   *  Resolves with the number of new findings. */
  find(isOpenOperation: (id: string) => Promise<boolean>): Promise<number>;
  /** Findings of the last week. */
  recent(): Promise<number>;
}

export function createUnanswered({ db, clock, writer }: { db: Database; clock: Clock; writer: Writer }): Unanswered {
  const tables = () => db.tables<AuditTables>();

  /** Calls for each record after `from` up to `to` that speaks of a request or an operation; gives the thread free in between. */
  const walk = async (from: number, to: number, take: (row: Subject) => void) => {
    for (let after = from; after < to; after += SLICE) {
      const { rows } = await sql<Subject>`
        SELECT seq, phase, coalesce(operation_id, request_id) AS subject FROM audit
        WHERE seq > ${after} AND seq <= ${Math.min(to, after + SLICE)} AND subject IS NOT NULL ORDER BY seq`.execute(
        tables(),
      );
      for (const row of rows) take(row);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };

  const settle = (intents: readonly number[]) =>
    db.transaction(async (tx) => {
      const rows = await tx
        .tables<AuditTables>()
        .selectFrom('audit')
        .select(['seq', 'body', 'hash'])
        .where('seq', 'in', intents)
        .orderBy('seq')
        .execute();
      for (const row of rows) {
        const { id: _id, at: _at, seq, hash: _hash, ...view } = viewOfBody(row.seq, row.body, row.hash);
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
    });

  return {
    async find(isOpenOperation) {
      const mark = await tables().selectFrom('audit_mark').select('seq').where('name', '=', MARK).executeTakeFirst();
      const end = (await writer.head()).seq;
      const asked = new Map<string, number>();
      await walk(mark?.seq ?? 0, end, ({ seq, phase, subject }) => {
        if (phase === 'intent') asked.set(subject, seq);
        else asked.delete(subject);
      });
      let oldestOpen = end + 1;
      for (const [subject, seq] of asked) {
        if (!writer.isOpen(subject) && !(await isOpenOperation(subject))) continue;
        asked.delete(subject);
        oldestOpen = Math.min(oldestOpen, seq);
      }
      // What is not open any more may have ended since this life began: then its outcome is there.
      await walk(end, (await writer.head()).seq, ({ phase, subject }) => {
        if (phase === 'outcome') asked.delete(subject);
      });
      const intents = [...asked.values()];
      for (let done = 0; done < intents.length; done += GROUP) await settle(intents.slice(done, done + GROUP));
      // Those that are open now are looked at again in the next life.
      await db.transaction((tx) =>
        tx
          .tables<AuditTables>()
          .insertInto('audit_mark')
          .values({ name: MARK, seq: oldestOpen - 1 })
          .onConflict((conflict) => conflict.column('name').doUpdateSet({ seq: oldestOpen - 1 }))
          .execute(),
      );
      return asked.size;
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
