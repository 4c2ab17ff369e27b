/** Says what bringing a state back would do, before anything is done. */

import type { StateCounts, StatePlan } from '#contract/state-backups.ts';
import type { Migration } from '#platform/db/database.ts';
import { unknownMigrations } from '#platform/db/rebuild.ts';
import { openSnapshot } from '#platform/db/snapshot.ts';
import { decodeRows, type SqlValue } from '#platform/db/table-rows.ts';
import type { StateHeader } from './header.ts';
import { sha256 } from './header.ts';
import { type FoundState, type OpenState, tooNew } from './read-point.ts';

type Row = Readonly<Record<string, SqlValue>>;

/** @throws state_too_new, state_damaged */
export async function planRestore(
  state: OpenState,
  found: FoundState,
  all: readonly FoundState[],
  here: {
    readonly host: string;
    readonly migrations: ReadonlyMap<string, readonly Migration[]>;
    readonly blockers: readonly string[];
  },
): Promise<StatePlan> {
  const { header } = state;
  if (unknownMigrations(header.migrations, here.migrations).length > 0) throw tooNew(header.version);
  await state.verify();
  const changes = [
    'Everybody signs in anew: sessions and one-time links do not come back.',
    'Operations that were under way on the lost host are not gone on with, and messages that were waiting are not sent.',
    'VMs come back one by one from their restore points: `hv backup list`.',
  ];
  if (state.secrets === 'come')
    changes.push('The certificate authority is the one of before; the dashboard gets a new certificate of it.');
  const warnings: string[] = [];
  if (state.proof === 'none')
    warnings.push(
      header.keyId === null
        ? 'Nothing proves who wrote this state: whoever can write into the folder could have made it. Look at the administrators.'
        : 'Give the recovery key of the state to have it proven, and to get its keys and passwords back.',
    );
  if (state.secrets !== 'come')
    warnings.push(
      'Keys and passwords do not come back: channels have to get theirs again, encrypted repositories their recovery keys, and the certificate authority is a new one.',
    );
  if (header.host !== here.host)
    warnings.push(
      `It is the state of ${header.host}. If that machine still runs, switch it off first: two machines must not be the same one.`,
    );
  return {
    point: { id: found.id, host: found.host, madeAt: found.madeAt, isOwn: found.isOwn, problem: found.problem },
    version: header.version,
    proof: state.proof,
    administrators: await administratorsOf(state),
    comes: countsOf(header),
    secrets: state.secrets,
    changes,
    warnings,
    blockers: [...here.blockers],
    others: all
      .filter(({ id }) => id !== found.id)
      .map(({ id, host, madeAt, isOwn, problem }) => ({ id, host, madeAt, isOwn, problem })),
    digest: sha256(Buffer.from(`${found.id} ${state.digest} ${state.proof} ${state.secrets}`)),
  };
}

function countsOf({ tables, counts }: StateHeader): StateCounts {
  const rows = (name: string) => tables.find((table) => table.name === name)?.rows ?? 0;
  return {
    users: rows('user'),
    groups: rows('user_group'),
    roles: rows('role'),
    grants: rows('access_grant'),
    projects: rows('project'),
    rules: rows('alert_rule'),
    channels: rows('channel'),
    schedules: rows('backup_schedule'),
    repositories: rows('repository'),
    vms: counts.vms,
    restorePoints: rows('restore_point'),
    auditRecords: rows('audit'),
  };
}

/** Names of all who hold the role that may do everything, by themselves or by a group. */
async function administratorsOf(state: OpenState): Promise<string[]> {
  const [users, members, groups, grants] = await Promise.all(
    ['user', 'group_member', 'user_group', 'access_grant'].map((table) => rowsOf(state, table)),
  );
  const names = new Map((users ?? []).map((row) => [row['id'], row['disabled'] === 1n ? null : String(row['name'])]));
  const found = new Set<string>();
  for (const grant of grants ?? []) {
    if (grant['role'] !== 'admin' || grant['scope'] !== 'all') continue;
    const ids =
      grant['subject_type'] === 'group'
        ? (members ?? []).flatMap((row) => (row['group_id'] === grant['subject_id'] ? [row['user_id']] : []))
        : [grant['subject_id']];
    for (const id of ids) {
      const name = names.get(id ?? null);
      if (name) found.add(name);
    }
    if (grant['subject_type'] === 'group' && (groups ?? []).every((row) => row['id'] !== grant['subject_id']))
      found.add(`group ${String(grant['subject_id'])}, which a provider fills`);
  }
  return [...found].sort();
}

async function rowsOf(state: OpenState, table: string): Promise<Row[]> {
  const rows: Row[] = [];
  for (const part of state.header.tables.find(({ name }) => name === table)?.parts ?? []) {
    const { columns, rows: values } = decodeRows(await state.read(part));
    for (const row of values) rows.push(Object.fromEntries(columns.map((name, n) => [name, row[n] ?? null])));
  }
  return rows;
}

/** What tells that this machine is in use: things that somebody made here. */
const SIGNS = [
  ['users', "SELECT count(*) AS n FROM user WHERE id NOT IN ('usr-admin','usr-operator')"],
  ['projects', "SELECT count(*) AS n FROM project WHERE id <> 'default'"],
  ['VMs', 'SELECT count(*) AS n FROM vm WHERE managed = 1'],
  ['channels', 'SELECT count(*) AS n FROM channel'],
  ['schedules of backups', 'SELECT count(*) AS n FROM backup_schedule'],
  ['API tokens', 'SELECT count(*) AS n FROM api_token'],
] as const;

/** @param database the file @returns in words, as `2 users`; empty on a machine that nobody has set up */
export function blockersOf(database: string): string[] {
  const snapshot = openSnapshot(database);
  try {
    return SIGNS.flatMap(([what, sql]) => {
      const count = Number(snapshot.one(sql)?.['n'] ?? 0);
      return count === 0 ? [] : [`${count} ${what}`];
    });
  } finally {
    snapshot.close();
  }
}
