/** `instant_restore`: VMs that run from a restore point while their data is copied. A row is there from before anything is made until
 *  nothing of the restore point is needed; it is what keeps the restore point, and what a restart goes on from. */

import { z } from 'zod';
import type { Migration } from '#platform/db/database.ts';

export interface InstantRow {
  vm_id: string;
  /** That made the VM: names of files come from it. */
  operation_id: string;
  name: string;
  project: string;
  point_id: string;
  repository_id: string;
  /** JSON, see `instantDisksSchema`. */
  disks: string;
  /** making: the VM is not there yet. copying: by itself. held: somebody stopped the copying, or it cannot go on. */
  state: 'making' | 'copying' | 'held';
  /** Why it is held, for people. */
  problem: string | null;
  /** Of the host, when the VM last ran. */
  boot_id: string;
  started_at: string;
}

export interface InstantTables {
  instant_restore: InstantRow;
}

const policySchema = z.object({ write: z.string().nullable(), read: z.string().nullable() });
const instantDisksSchema = z.array(
  z.object({
    target: z.string(),
    sizeBytes: z.number(),
    /** What the definition in the restore point says of errors; it comes back when the data is here. */
    policy: policySchema,
    /** Everything that the restore point has of it is on the disk for good. */
    isWhole: z.boolean(),
  }),
);

export type InstantDisk = z.infer<typeof instantDisksSchema>[number];

export const disksOf = ({ disks }: Pick<InstantRow, 'disks'>): readonly InstantDisk[] =>
  instantDisksSchema.parse(JSON.parse(disks));

export const instantMigrations: readonly Migration[] = [
  {
    id: '002-instant-restore',
    statements: [
      `CREATE TABLE instant_restore(vm_id TEXT PRIMARY KEY, operation_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, project TEXT NOT NULL,
         point_id TEXT NOT NULL, repository_id TEXT NOT NULL, disks TEXT NOT NULL,
         state TEXT NOT NULL CHECK(state IN ('making','copying','held')), problem TEXT, boot_id TEXT NOT NULL,
         started_at TEXT NOT NULL) STRICT`,
    ],
  },
];
