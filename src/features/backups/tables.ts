/** The tables of backups. What they say of restore points is a copy: the repository itself is the truth, and `hv repo scan` reads it anew.
 *  `repository`: where backups lie. `restore_point`: what lies there. `backup_disk`: what is known of each disk of a VM since its newest
 *  restore point in a repository. */

import { z } from 'zod';
import { pointDiskSchema, skippedDiskSchema } from '#contract/backups.ts';
import type { Migration } from '#platform/db/database.ts';

export interface RepositoryRow {
  id: string;
  name: string;
  /** Absolute; of another machine its title. */
  folder: string;
  compression: 'default' | 'better';
  is_encrypted: number;
  /** Its recovery key was typed back. */
  is_confirmed: number;
  is_default: number;
  created_at: string;
  scanned_at: string | null;
  kind: 'folder' | 'mount' | 'sftp' | 's3';
  /** JSON, see `placeSchema`; null for folders. */
  place: string | null;
  /** Sealed. */
  secrets: string | null;
  /** Id that `repo.json` has to have; null = not seen yet. */
  store_id: string | null;
  is_copy: number;
}

export interface PointRow {
  id: string;
  repository_id: string;
  vm_id: string;
  vm_name: string;
  project: string;
  seq: number;
  operation_id: string;
  checkpoint: string | null;
  point_in_time: string;
  finished_at: string;
  consistency: 'agent' | 'crash' | 'offline';
  frozen_ms: number | null;
  size_bytes: number;
  read_bytes: number;
  stored_bytes: number;
  /** What was new in it, before compression: what it is charged for. */
  new_bytes: number;
  /** JSON, see `pointDetailSchema`. */
  detail: string;
  state: 'good' | 'bad';
  problem: string | null;
}

export interface DiskRow {
  vm_id: string;
  repository_id: string;
  target: string;
  /** The restore point that this is said of. */
  point_id: string;
  /** File or device that it was read from. */
  source: string;
  full_read_at: string;
  is_damaged: number;
  is_suspect: number;
  /** JSON of size, time and place of the file when its VM was off and it was read; null = it was not. */
  image: string | null;
}

export interface BackupTables {
  repository: RepositoryRow;
  restore_point: PointRow;
  backup_disk: DiskRow;
}

export const pointDetailSchema = z.object({
  disks: z.array(pointDiskSchema),
  skipped: z.array(skippedDiskSchema),
  warnings: z.array(z.string()),
});
export type PointDetail = z.infer<typeof pointDetailSchema>;

export const backupMigrations: readonly Migration[] = [
  {
    id: '001-backups',
    statements: [
      `CREATE TABLE repository(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, folder TEXT NOT NULL UNIQUE,
         compression TEXT NOT NULL CHECK(compression IN ('default','better')), is_encrypted INTEGER NOT NULL, is_confirmed INTEGER NOT NULL,
         is_default INTEGER NOT NULL, created_at TEXT NOT NULL, scanned_at TEXT) STRICT`,
      `CREATE TABLE restore_point(id TEXT PRIMARY KEY, repository_id TEXT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
         vm_id TEXT NOT NULL, vm_name TEXT NOT NULL, project TEXT NOT NULL, seq INTEGER NOT NULL, operation_id TEXT NOT NULL,
         checkpoint TEXT, point_in_time TEXT NOT NULL, finished_at TEXT NOT NULL, consistency TEXT NOT NULL, frozen_ms INTEGER,
         size_bytes INTEGER NOT NULL, read_bytes INTEGER NOT NULL, stored_bytes INTEGER NOT NULL, new_bytes INTEGER NOT NULL,
         detail TEXT NOT NULL, state TEXT NOT NULL CHECK(state IN ('good','bad')), problem TEXT) STRICT`,
      'CREATE INDEX restore_point_vm ON restore_point(vm_id, repository_id, seq)',
      'CREATE INDEX restore_point_time ON restore_point(point_in_time)',
      `CREATE TABLE backup_disk(vm_id TEXT NOT NULL, repository_id TEXT NOT NULL REFERENCES repository(id) ON DELETE CASCADE,
         target TEXT NOT NULL, point_id TEXT NOT NULL, source TEXT NOT NULL, full_read_at TEXT NOT NULL, is_damaged INTEGER NOT NULL,
         is_suspect INTEGER NOT NULL, image TEXT, PRIMARY KEY(vm_id, repository_id, target)) STRICT`,
    ],
  },
  {
    id: '002-places',
    statements: [
      `ALTER TABLE repository ADD COLUMN kind TEXT NOT NULL DEFAULT 'folder' CHECK(kind IN ('folder','mount','sftp','s3'))`,
      'ALTER TABLE repository ADD COLUMN place TEXT',
      'ALTER TABLE repository ADD COLUMN secrets TEXT',
      'ALTER TABLE repository ADD COLUMN store_id TEXT',
      'ALTER TABLE repository ADD COLUMN is_copy INTEGER NOT NULL DEFAULT 0',
    ],
  },
];
