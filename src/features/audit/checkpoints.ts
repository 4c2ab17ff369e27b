/** Signed checkpoints: what the chain's end was at a time. Kept beside the chain, written to the daemon's log, and given to every mirror: the
 *  copies elsewhere are what tells of a chain that was cut or written anew as a whole. */

import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { AuditKeys } from './keys.ts';
import type { AuditTables } from './migrations.ts';
import type { Head } from './writer.ts';

const EVERY_RECORDS = 1000;
const EVERY_MS = 300_000;

export interface Checkpoints {
  /** Signs the end when a thousand records or five minutes have passed since the last time. */
  due(head: Head): Promise<void>;
  /** Signs it when it is not signed yet. */
  final(head: Head): Promise<void>;
}

export function createCheckpoints({
  db,
  clock,
  log,
  keys,
  onMade,
}: {
  db: Database;
  clock: Clock;
  log: Logger;
  keys: AuditKeys;
  onMade: () => void;
}): Checkpoints {
  let lastSeq: number | null = null;
  let lastMs = clock.monotonicMs();

  const make = async ({ seq, hash }: Head) => {
    const { body, signature } = keys.sign(
      JSON.stringify({ v: 1, chain: keys.chain, seq, hash, at: clock.now().toISOString() }),
    );
    await db.transaction((tx) =>
      tx
        .tables<AuditTables>()
        .insertInto('audit_checkpoint')
        .values({ seq, body, signature })
        .onConflict((conflict) => conflict.column('seq').doUpdateSet({ body, signature }))
        .execute(),
    );
    lastSeq = seq;
    lastMs = clock.monotonicMs();
    log.info({ seq, hash, chain: keys.chain, signature }, 'audit checkpoint');
    onMade();
  };

  return {
    async final(head) {
      if (head.seq > (lastSeq ?? 0)) await make(head);
    },
    async due(head) {
      lastSeq ??=
        (
          await db
            .tables<AuditTables>()
            .selectFrom('audit_checkpoint')
            .select('seq')
            .orderBy('seq', 'desc')
            .limit(1)
            .executeTakeFirst()
        )?.seq ?? 0;
      const news = head.seq - lastSeq;
      if (news >= EVERY_RECORDS || (news > 0 && clock.monotonicMs() - lastMs >= EVERY_MS)) await make(head);
    },
  };
}
