/** The first start with a state that was brought back records who did it. Killed in between, the next start does it. */

import type { AuditFeatureApi } from '#features/audit/index.ts';
import type { Database } from '#platform/db/database.ts';
import { asideName, doneSwap, forgetSwap } from '#platform/state-swap.ts';
import { restoreAboutSchema } from './stage-restore.ts';
import type { StateTables } from './tables.ts';

export interface AfterRestoreDependencies {
  readonly root: string;
  readonly db: Database;
  readonly audit: Pick<AuditFeatureApi, 'write'>;
  now(): Date;
}

/** @returns whether there was something to do */
export async function afterRestore({ root, db, audit, now }: AfterRestoreDependencies): Promise<boolean> {
  const swap = await doneSwap(root);
  if (swap === null) return false;
  const about = restoreAboutSchema.parse(swap.about);
  await db.transaction(async (tx) => {
    const tables = tx.tables<StateTables>();
    const known = await tables.selectFrom('state_restore').select('id').where('id', '=', swap.id).executeTakeFirst();
    if (known) return;
    await tables
      .insertInto('state_restore')
      .values({
        id: swap.id,
        at: now().toISOString(),
        by: about.by,
        point: about.point,
        host: about.host,
        made_at: about.madeAt,
        aside: asideName(swap.id),
      })
      .execute();
    // The chain of records goes on where it was when the state was made.
    await audit.write(tx, {
      phase: 'outcome',
      outcome: 'done',
      actor: about.by,
      actorId: about.userId,
      via: 'admin_socket',
      address: null,
      action: 'system.restore',
      permission: 'access.manage',
      objectType: null,
      objectId: null,
      objectName: null,
      requestId: null,
      operationId: null,
      code: null,
      params: { ...about },
    });
  });
  await forgetSwap(root);
  return true;
}
