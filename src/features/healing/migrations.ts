/** The tables of healing.
 *  `heal_mode`: how far an action may go, for all (`vm_id` '') or for one VM. `heal_case`: what is wrong with what, and how often something
 *  was done about it. `heal_act`: the history. `heal_hold`: file systems on which new work waits. `heal_clock`: see `steady-time.ts`.
 *  `heal_pause`: see `pause.ts`.
 *  Times ending in `_ms` are those of the steady time. */

import type { Generated, Selectable } from 'kysely';
import type { ACT_RESULTS, HealingActionId, HealingMode } from '#contract/healing.ts';
import type { Migration } from '#platform/db/database.ts';

interface ActTable {
  /** Order in which they came, which dates are not. */
  n: Generated<number>;
  id: string;
  at: string;
  steady_ms: number;
  action: HealingActionId;
  object_type: 'vm' | 'pool' | 'host' | 'service';
  object_id: string;
  object_name: string;
  project: string | null;
  result: (typeof ACT_RESULTS)[number];
  text: string;
  operation_id: string | null;
}
export type ActRow = Omit<Selectable<ActTable>, 'n'>;

export interface CaseRow {
  action: HealingActionId;
  object_id: string;
  /** Null while nothing is wrong and only `acts_ms` is remembered. */
  opened_ms: number | null;
  next_ms: number;
  /** Why nothing more is done about it: `operator`, `observed`, `gave_up`, `done`; null = something is. */
  ended_by: 'operator' | 'observed' | 'gave_up' | 'done' | null;
  /** What stood against it, as it was told. */
  held_by: string | null;
  /** JSON list of when something was done in the last hour. */
  acts_ms: string;
}

export interface HealingTables {
  heal_mode: { action: HealingActionId; vm_id: string; mode: HealingMode; since_ms: number };
  heal_case: CaseRow;
  heal_act: ActTable;
  heal_hold: { folder: string };
  /** One row while healing is paused; `until` is of the date, `until_ms` of the steady time in that boot. */
  heal_pause: { id: 1; since: string; until: string; until_ms: number; boot_id: string; by: string; reason: string };
  heal_clock: { id: 1; boot_id: string; uptime_ms: number; steady_ms: number; oom_kills: number | null };
}

export const healingMigrations: readonly Migration[] = [
  {
    id: '001-healing',
    statements: [
      `CREATE TABLE heal_mode(action TEXT NOT NULL, vm_id TEXT NOT NULL, mode TEXT NOT NULL CHECK(mode IN ('off','observe','act')),
         since_ms INTEGER NOT NULL, PRIMARY KEY(action, vm_id)) STRICT`,
      `CREATE TABLE heal_case(action TEXT NOT NULL, object_id TEXT NOT NULL, opened_ms INTEGER, next_ms INTEGER NOT NULL,
         ended_by TEXT, held_by TEXT, acts_ms TEXT NOT NULL, PRIMARY KEY(action, object_id)) STRICT`,
      `CREATE TABLE heal_act(n INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at TEXT NOT NULL, steady_ms INTEGER NOT NULL, action TEXT NOT NULL,
         object_type TEXT NOT NULL, object_id TEXT NOT NULL, object_name TEXT NOT NULL, project TEXT, result TEXT NOT NULL,
         text TEXT NOT NULL, operation_id TEXT) STRICT`,
      'CREATE INDEX heal_act_object ON heal_act(object_id, action)',
      'CREATE TABLE heal_hold(folder TEXT PRIMARY KEY) STRICT',
      `CREATE TABLE heal_clock(id INTEGER PRIMARY KEY CHECK(id = 1), boot_id TEXT NOT NULL, uptime_ms INTEGER NOT NULL,
         steady_ms INTEGER NOT NULL, oom_kills INTEGER) STRICT`,
    ],
  },
  {
    id: '002-pause',
    statements: [
      `CREATE TABLE heal_pause(id INTEGER PRIMARY KEY CHECK(id = 1), since TEXT NOT NULL, until TEXT NOT NULL, until_ms INTEGER NOT NULL,
         boot_id TEXT NOT NULL, by TEXT NOT NULL, reason TEXT NOT NULL) STRICT`,
    ],
  },
];
