/** How the last backup of each VM ended, whether a schedule or a person began it. */

import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { Database } from '#platform/db/database.ts';
import type { LastRunRow, ProtectionTables } from './migrations.ts';

export interface LastRuns {
  load(): Promise<void>;
  of(vmId: string): LastRunRow | null;
  all(): ReadonlyMap<string, LastRunRow>;
  /** Takes note of an operation that is over; of others, and of what is not of this kind, nothing. */
  heardOf(operation: Pick<Operation, 'id' | 'kind' | 'state' | 'objectId' | 'error' | 'finishedAt'>): Promise<boolean>;
}

export function createLastRuns(db: Database, kinds: () => readonly string[]): LastRuns {
  const known = new Map<string, LastRunRow>();
  const tables = () => db.tables<ProtectionTables>();
  return {
    async load() {
      for (const row of await tables().selectFrom('backup_last_run').selectAll().execute()) known.set(row.vm_id, row);
    },
    of: (vmId) => known.get(vmId) ?? null,
    all: () => known,
    async heardOf({ id, kind, state, objectId, error, finishedAt }) {
      // Who cancels a backup knows that there is none.
      if (!kinds().includes(kind) || objectId === null || !FINAL_STATES.includes(state) || state === 'cancelled')
        return false;
      const row: LastRunRow = {
        vm_id: objectId,
        at: finishedAt ?? new Date(0).toISOString(),
        state: state === 'done' ? 'succeeded' : 'failed',
        detail: error === null ? null : `${error.detail || error.title} ${error.hint}`.trim(),
        operation_id: id,
      };
      await tables()
        .insertInto('backup_last_run')
        .values(row)
        .onConflict((conflict) => conflict.column('vm_id').doUpdateSet(row))
        .execute();
      known.set(objectId, row);
      return true;
    },
  };
}
