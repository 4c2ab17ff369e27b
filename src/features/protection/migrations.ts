/** The tables of protection.
 *  `backup_schedule`: when what is backed up. `backup_round`, `backup_round_vm`: what each run of one did. `backup_last_run`: how the last
 *  backup of each VM ended, whoever began it. `backup_kept_point`: restore points that stay whatever the retention says.
 *  `backup_accepted_disk`: disks of which somebody said that no restore point has to hold them.
 *  `backup_prune`: how the last cleaning of each repository ended. `backup_report`: the ISO week that people were last told of. */

import type { ROUND_STATES, ROUND_VM_STATES } from '#contract/protection.ts';
import type { Migration } from '#platform/db/database.ts';

export interface ScheduleRow {
  id: string;
  name: string;
  is_enabled: number;
  calendar: string;
  time_zone: string;
  /** JSON, as in the contract. */
  targets: string;
  /** Id; null = the default one. */
  repository: string | null;
  /** JSON, as in the contract. */
  retention: string;
  proof: 'never' | 'weekly' | 'each';
  /** null = as configured */
  scrub_days: number | null;
  priority: number;
  jitter_minutes: number;
  catch_up: number;
  window_hours: number | null;
  /** The moment that is waited for; null = none comes. */
  next_ms: number | null;
  created_at: string;
}

export interface RoundRow {
  id: string;
  schedule_id: string;
  schedule_name: string;
  due_at: string;
  began_at: string;
  ended_at: string | null;
  state: (typeof ROUND_STATES)[number];
  note: string | null;
}

export interface RoundVmRow {
  round_id: string;
  vm_id: string;
  vm_name: string;
  project: string;
  /** Place in the run. */
  n: number;
  state: (typeof ROUND_VM_STATES)[number];
  detail: string | null;
  operation_id: string | null;
  point_id: string | null;
  began_at: string | null;
  ended_at: string | null;
}

export interface LastRunRow {
  vm_id: string;
  at: string;
  state: 'succeeded' | 'failed';
  detail: string | null;
  operation_id: string;
}

export interface PruneRow {
  repository: string;
  at: string;
  state: 'done' | 'failed' | 'asks';
  detail: string | null;
  removed: number;
  freed_bytes: number;
}

export interface ProtectionTables {
  backup_schedule: ScheduleRow;
  backup_round: RoundRow;
  backup_round_vm: RoundVmRow;
  backup_last_run: LastRunRow;
  backup_kept_point: { point_id: string; by: string; reason: string; at: string };
  backup_prune: PruneRow;
  backup_report: { week: string };
  backup_accepted_disk: { vm_id: string; target: string; by: string; reason: string; at: string };
}

export const protectionMigrations: readonly Migration[] = [
  {
    id: '001-protection',
    statements: [
      `CREATE TABLE backup_schedule(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, is_enabled INTEGER NOT NULL, calendar TEXT NOT NULL,
         time_zone TEXT NOT NULL, targets TEXT NOT NULL, repository TEXT, retention TEXT NOT NULL,
         proof TEXT NOT NULL CHECK(proof IN ('never','weekly','each')), priority INTEGER NOT NULL, jitter_minutes INTEGER NOT NULL,
         catch_up INTEGER NOT NULL, window_hours INTEGER, next_ms INTEGER, created_at TEXT NOT NULL) STRICT`,
      `CREATE TABLE backup_round(id TEXT PRIMARY KEY, schedule_id TEXT NOT NULL, schedule_name TEXT NOT NULL, due_at TEXT NOT NULL,
         began_at TEXT NOT NULL, ended_at TEXT, state TEXT NOT NULL, note TEXT) STRICT`,
      'CREATE INDEX backup_round_schedule ON backup_round(schedule_id, id)',
      `CREATE TABLE backup_round_vm(round_id TEXT NOT NULL REFERENCES backup_round(id) ON DELETE CASCADE, vm_id TEXT NOT NULL,
         vm_name TEXT NOT NULL, project TEXT NOT NULL, n INTEGER NOT NULL, state TEXT NOT NULL, detail TEXT, operation_id TEXT, point_id TEXT,
         began_at TEXT, ended_at TEXT, PRIMARY KEY(round_id, vm_id)) STRICT`,
      `CREATE TABLE backup_last_run(vm_id TEXT PRIMARY KEY, at TEXT NOT NULL, state TEXT NOT NULL, detail TEXT,
         operation_id TEXT NOT NULL) STRICT`,
      `CREATE TABLE backup_kept_point(point_id TEXT PRIMARY KEY, by TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL) STRICT`,
      `CREATE TABLE backup_prune(repository TEXT PRIMARY KEY, at TEXT NOT NULL, state TEXT NOT NULL, detail TEXT,
         removed INTEGER NOT NULL, freed_bytes INTEGER NOT NULL) STRICT`,
      'CREATE TABLE backup_report(week TEXT PRIMARY KEY) STRICT',
    ],
  },
  {
    id: '002-accepted-disks',
    statements: [
      `CREATE TABLE backup_accepted_disk(vm_id TEXT NOT NULL, target TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
         PRIMARY KEY(vm_id, target)) STRICT`,
    ],
  },
  {
    id: '003-scrub-days',
    statements: ['ALTER TABLE backup_schedule ADD COLUMN scrub_days INTEGER'],
  },
];
