/** `backup_copy`: which repository is the copy of which, and how it is kept. `backup_copy_point`: what lies there, as far as we put it
 *  there or saw it; the copy itself is the truth. */

import type { Migration } from '#platform/db/database.ts';

export interface CopyRow {
  repository_id: string;
  /** May have been forgotten. */
  source_id: string;
  is_enabled: number;
  /** JSON, see `retentionSchema`; null = everything stays. */
  retention: string | null;
  time_zone: string;
  bytes_per_second: number | null;
  last_at: string | null;
  succeeded_at: string | null;
  /** Why the last copy failed; null = it did not. */
  problem: string | null;
  /** One after the other. */
  failures: number;
  /** The states of hosts are copied too. */
  takes_states: number;
}

export interface CopyPointRow {
  repository_id: string;
  point_id: string;
  kind: 'vm' | 'state';
  /** Of a state the id of its series. */
  vm_id: string;
  /** In the order of their making. */
  seq: number;
  point_in_time: string;
  is_good: number;
  /** It was to go, and the place keeps it. */
  is_locked: number;
}

export interface CopyTables {
  backup_copy: CopyRow;
  backup_copy_point: CopyPointRow;
}

export const copyMigrations: readonly Migration[] = [
  {
    id: '001-copies',
    statements: [
      `CREATE TABLE backup_copy(repository_id TEXT PRIMARY KEY REFERENCES repository(id) ON DELETE CASCADE, source_id TEXT NOT NULL,
         is_enabled INTEGER NOT NULL, retention TEXT, time_zone TEXT NOT NULL, bytes_per_second INTEGER, last_at TEXT, succeeded_at TEXT,
         problem TEXT, failures INTEGER NOT NULL) STRICT`,
      `CREATE TABLE backup_copy_point(repository_id TEXT NOT NULL REFERENCES backup_copy(repository_id) ON DELETE CASCADE,
         point_id TEXT NOT NULL, vm_id TEXT NOT NULL, seq INTEGER NOT NULL, point_in_time TEXT NOT NULL, is_good INTEGER NOT NULL, is_locked INTEGER NOT NULL,
         PRIMARY KEY(repository_id, point_id)) STRICT`,
    ],
  },
  {
    id: '002-states',
    statements: [
      'ALTER TABLE backup_copy ADD COLUMN takes_states INTEGER NOT NULL DEFAULT 1',
      "ALTER TABLE backup_copy_point ADD COLUMN kind TEXT NOT NULL DEFAULT 'vm' CHECK(kind IN ('vm','state'))",
    ],
  },
];
