/** The rows of VMs that run from restore points, also in memory: many ask whether a VM or a restore point is among them. */

import type { ApiEvents } from '#contract/events.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Database } from '#platform/db/database.ts';
import type { InstantRow, InstantTables } from './tables.ts';

export interface InstantRows {
  load(): Promise<void>;
  list(): readonly InstantRow[];
  of(vmId: string): InstantRow | null;
  put(row: InstantRow): Promise<void>;
  /** Does nothing for a VM that is not among them. */
  change(vmId: string, values: Partial<Omit<InstantRow, 'vm_id'>>): Promise<void>;
  remove(vmId: string): Promise<void>;
}

export function createInstantRows(db: Database, events: EventBus<ApiEvents>): InstantRows {
  const rows = new Map<string, InstantRow>();
  const table = () => db.tables<InstantTables>();
  const told = ({ point_id, project, vm_id }: InstantRow) =>
    events.emit('backup.changed', { id: point_id, project, vmId: vm_id });

  return {
    async load() {
      for (const row of await table().selectFrom('instant_restore').selectAll().execute()) rows.set(row.vm_id, row);
    },
    list: () => [...rows.values()],
    of: (vmId) => rows.get(vmId) ?? null,
    async put(row) {
      await table()
        .insertInto('instant_restore')
        .values(row)
        .onConflict((conflict) => conflict.column('vm_id').doUpdateSet(row))
        .execute();
      rows.set(row.vm_id, row);
      told(row);
    },
    async change(vmId, values) {
      const row = rows.get(vmId);
      if (!row) return;
      await table().updateTable('instant_restore').set(values).where('vm_id', '=', vmId).execute();
      const changed = { ...row, ...values };
      rows.set(vmId, changed);
      told(changed);
    },
    async remove(vmId) {
      const row = rows.get(vmId);
      await table().deleteFrom('instant_restore').where('vm_id', '=', vmId).execute();
      rows.delete(vmId);
      if (row) told(row);
    },
  };
}
