/** Removes records that are older than the configuration wants them kept, oldest first and never out of the middle. A signed stub stands for
 *  them, so that the rest still proves itself; that they were removed is a record of its own. */

import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { Database } from '#platform/db/database.ts';
import type { AuditKeys } from './keys.ts';
import type { AuditTables } from './migrations.ts';
import { systemEntry } from './system-entry.ts';
import type { Writer } from './writer.ts';

const DAY_MS = 86_400_000;
/** Records that one transaction removes. */
const GROUP = 2000;

export interface Retention {
  /** Removes what is too old. Resolves with the number of records removed. */
  run(): Promise<number>;
}

export function createRetention({
  db,
  clock,
  calendar,
  log,
  keys,
  writer,
  settings,
}: {
  db: Database;
  clock: Clock;
  calendar: Pick<Calendar, 'leap'>;
  log: Logger;
  keys: AuditKeys;
  writer: Writer;
  settings: { readonly retentionDays: number; readonly legalHold: boolean };
}): Retention {
  const prune = async (before: string): Promise<number> =>
    db.transaction(async (tx) => {
      const tables = tx.tables<AuditTables>();
      const rows = await tables.selectFrom('audit').select(['seq', 'at', 'hash']).orderBy('seq').limit(GROUP).execute();
      const kept = rows.findIndex(({ at }) => at >= before);
      const old = kept < 0 ? rows : rows.slice(0, kept);
      const last = old.at(-1);
      if (!last) return 0;
      const { body, signature } = keys.sign(
        JSON.stringify({ v: 1, chain: keys.chain, seq: last.seq, hash: last.hash, at: clock.now().toISOString() }),
      );
      const stub = { seq: last.seq, body, signature };
      await tables
        .insertInto('audit_stub')
        .values({ id: 1, ...stub })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(stub))
        .execute();
      await writer.write(tx, systemEntry('audit.prune', { from: old[0]?.seq, to: last.seq, before }));
      await tables.deleteFrom('audit').where('seq', '<=', last.seq).execute();
      await tables.deleteFrom('audit_checkpoint').where('seq', '<=', last.seq).execute();
      return old.length;
    });

  return {
    async run() {
      const { retentionDays, legalHold } = settings;
      if (legalHold) return 0;
      if (calendar.leap() !== null) {
        log.warn({}, 'no audit records are removed: the date is not believed');
        return 0;
      }
      const before = new Date(clock.now().getTime() - retentionDays * DAY_MS).toISOString();
      let removed = 0;
      for (;;) {
        const count = await prune(before);
        removed += count;
        if (count < GROUP) break;
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (removed > 0) {
        log.info({ removed, before }, 'audit records were removed for their age');
      }
      return removed;
    },
  };
}
