/** Restore points that stay whatever the retention says: kept in the database and in memory. */

import type { Database, Transaction } from '#platform/db/database.ts';
import type { ProtectionTables } from '../migrations.ts';

export interface KeptPoints {
  load(): Promise<void>;
  ids(): ReadonlySet<string>;
  keep(pointId: string, by: string, reason: string, at: string): Promise<void>;
  release(pointId: string): Promise<void>;
  /** They are gone. */
  forget(tx: Transaction, pointIds: readonly string[]): Promise<void>;
}

export function createKeptPoints(db: Database): KeptPoints {
  const known = new Set<string>();
  const tables = (source: Database | Transaction = db) => source.tables<ProtectionTables>();
  return {
    async load() {
      for (const { point_id } of await tables().selectFrom('backup_kept_point').select('point_id').execute())
        known.add(point_id);
    },
    ids: () => known,
    async keep(pointId, by, reason, at) {
      const row = { point_id: pointId, by, reason, at };
      await tables()
        .insertInto('backup_kept_point')
        .values(row)
        .onConflict((conflict) => conflict.column('point_id').doUpdateSet(row))
        .execute();
      known.add(pointId);
    },
    async release(pointId) {
      await tables().deleteFrom('backup_kept_point').where('point_id', '=', pointId).execute();
      known.delete(pointId);
    },
    async forget(tx, pointIds) {
      for (const id of pointIds) await tables(tx).deleteFrom('backup_kept_point').where('point_id', '=', id).execute();
      tx.afterCommit(() => {
        for (const id of pointIds) known.delete(id);
      });
    },
  };
}
