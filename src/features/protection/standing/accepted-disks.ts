/** Disks of VMs of which somebody said that no restore point has to hold them: kept in the database and in memory. */

import type { Database } from '#platform/db/database.ts';
import type { ProtectionTables } from '../migrations.ts';

export interface AcceptedDisks {
  load(): Promise<void>;
  /** Targets, as vdb. */
  of(vmId: string): ReadonlySet<string>;
  /** Takes the place of all that was said of the VM before. */
  put(
    vmId: string,
    targets: readonly string[],
    said: { readonly by: string; readonly reason: string; readonly at: string },
  ): Promise<void>;
}

const NONE: ReadonlySet<string> = new Set();

export function createAcceptedDisks(db: Database): AcceptedDisks {
  const known = new Map<string, ReadonlySet<string>>();
  return {
    async load() {
      const rows = await db.tables<ProtectionTables>().selectFrom('backup_accepted_disk').selectAll().execute();
      for (const [vmId, of] of Map.groupBy(rows, ({ vm_id }) => vm_id))
        known.set(vmId, new Set(of.map(({ target }) => target)));
    },
    of: (vmId) => known.get(vmId) ?? NONE,
    async put(vmId, targets, said) {
      const rows = [...new Set(targets)].map((target) => ({ vm_id: vmId, target, ...said }));
      await db.transaction(async (tx) => {
        const tables = tx.tables<ProtectionTables>();
        await tables.deleteFrom('backup_accepted_disk').where('vm_id', '=', vmId).execute();
        for (const row of rows) await tables.insertInto('backup_accepted_disk').values(row).execute();
        tx.afterCommit(() => void known.set(vmId, new Set(targets)));
      });
    },
  };
}
