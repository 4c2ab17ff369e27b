/** `state_series`: the name under which this installation keeps its state, the same for life. `state_backup`: the last try in each
 *  repository. `state_restore`: restores that ended in this state. And which tables of all slices are part of a state. */

import type { Migration } from '#platform/db/database.ts';

export interface StateTables {
  state_series: { id: 1; uuid: string };
  state_backup: { repository: string; at: string | null; tried_at: string; problem: string | null };
  state_restore: {
    id: string;
    at: string;
    by: string;
    point: string;
    host: string;
    made_at: string;
    aside: string;
  };
}

export const stateMigrations: readonly Migration[] = [
  {
    id: '001-state-backups',
    statements: [
      'CREATE TABLE state_series(id INTEGER PRIMARY KEY CHECK(id = 1), uuid TEXT NOT NULL) STRICT',
      'CREATE TABLE state_backup(repository TEXT PRIMARY KEY, at TEXT, tried_at TEXT NOT NULL, problem TEXT) STRICT',
      `CREATE TABLE state_restore(id TEXT PRIMARY KEY, at TEXT NOT NULL, by TEXT NOT NULL, point TEXT NOT NULL, host TEXT NOT NULL,
         made_at TEXT NOT NULL, aside TEXT NOT NULL) STRICT`,
    ],
  },
];

/** Everything else comes along, so that nobody has to think of it here who adds a table with settings. */
const LEFT_OUT: Readonly<Record<string, readonly string[]>> = {
  'nobody stays signed in, and no one-time link works twice': ['session', 'sign_in_link'],
  'work that was under way on the lost host is not gone on with': [
    'operation',
    'op_step',
    'op_lock',
    'idempotency',
    'reservation',
    'upload',
    'heal_case',
    'heal_act',
    'heal_hold',
    'heal_clock',
    'heal_pause',
  ],
  'messages that were waiting are not sent from another host': [
    'announced',
    'channel_state',
    'delivery',
    'notice_group',
    'told_alert',
  ],
  'what was true of the lost host and its disks': [
    'alert',
    'alert_event',
    'alert_mark',
    'alert_mask',
    'backup_disk',
    'backup_last_run',
    'backup_prune',
    'backup_round',
    'backup_round_vm',
    'calendar',
    'health_change',
    'health_memory',
    'health_result',
    'instant_restore',
    'metric_count',
    'proof_part',
    'state_backup',
    'trash',
    'usage_mark',
    'usage_sample',
  ],
};

const leftOut = new Set(Object.values(LEFT_OUT).flat());

export const isPartOfState = (table: string): boolean => !leftOut.has(table);

/** For a test: a name that no table has any more keeps nothing out. */
export const leftOutTables: ReadonlySet<string> = leftOut;
