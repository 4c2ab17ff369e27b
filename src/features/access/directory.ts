/** Users, groups, roles and grants: SQL, and a snapshot in memory from which every question is answered.
 *  A change is committed first; then the snapshot is read anew and its version grows. */

import type { Permission } from '#contract/permissions.ts';
import { createQueue } from '#kernel/async.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';

/** The users that exist from the start: whom a link without a name signs in. */
export const FIRST_ADMIN = 'usr-admin';
export const FIRST_OPERATOR = 'usr-operator';

export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly title: string | null;
  readonly isDisabled: boolean;
  readonly source: string;
  readonly idleMinutes: number | null;
  readonly createdAt: string;
  lastSignInAt: string | null;
}

export interface GroupRow {
  readonly id: string;
  readonly name: string;
  readonly title: string | null;
}

export interface RoleRow {
  readonly id: string;
  readonly name: string;
  readonly title: string;
  readonly permissions: readonly Permission[];
}

export interface GrantRow {
  readonly id: string;
  readonly subjectType: 'user' | 'group';
  readonly subjectId: string;
  /** Name of a built-in role or id of a custom one. */
  readonly role: string;
  readonly scope: string;
  /** The project that the scope is or lies in; null for the whole system. */
  readonly project: string | null;
  readonly source: string;
  readonly createdAt: string;
  readonly createdBy: string;
}

export interface Snapshot {
  readonly version: number;
  readonly users: ReadonlyMap<string, UserRow>;
  readonly userIds: ReadonlyMap<string, string>;
  readonly groups: ReadonlyMap<string, GroupRow>;
  readonly roles: ReadonlyMap<string, RoleRow>;
  readonly grants: ReadonlyMap<string, GrantRow>;
  readonly groupsOf: ReadonlyMap<string, ReadonlySet<string>>;
}

export interface DirectoryTables {
  user: {
    id: string;
    name: string;
    title: string | null;
    disabled: number;
    source: string;
    idle_minutes: number | null;
    created_at: string;
    last_sign_in_at: string | null;
  };
  user_group: { id: string; name: string; title: string | null };
  group_member: { group_id: string; user_id: string };
  role: { id: string; name: string; title: string; permissions: string };
  access_grant: {
    id: string;
    subject_type: 'user' | 'group';
    subject_id: string;
    role: string;
    scope: string;
    project_id: string | null;
    source: string;
    created_at: string;
    created_by: string;
  };
}

export const directoryMigration: Migration = {
  id: '002-directory',
  statements: [
    `CREATE TABLE user(
       id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, title TEXT, disabled INTEGER NOT NULL DEFAULT 0, source TEXT NOT NULL DEFAULT 'local',
       idle_minutes INTEGER, created_at TEXT NOT NULL, last_sign_in_at TEXT) STRICT`,
    'CREATE TABLE user_group(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, title TEXT) STRICT',
    `CREATE TABLE group_member(
       group_id TEXT NOT NULL REFERENCES user_group(id) ON DELETE CASCADE, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE,
       PRIMARY KEY(group_id, user_id)) STRICT`,
    'CREATE TABLE role(id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, title TEXT NOT NULL, permissions TEXT NOT NULL) STRICT',
    `CREATE TABLE access_grant(
       id TEXT PRIMARY KEY, subject_type TEXT NOT NULL CHECK(subject_type IN ('user','group')), subject_id TEXT NOT NULL, role TEXT NOT NULL,
       scope TEXT NOT NULL, project_id TEXT, source TEXT NOT NULL DEFAULT 'local', created_at TEXT NOT NULL, created_by TEXT NOT NULL,
       UNIQUE(subject_type, subject_id, role, scope, source)) STRICT`,
    `INSERT INTO user(id, name, created_at) SELECT 'usr-admin', 'admin', strftime('%Y-%m-%dT%H:%M:%fZ','now')
       UNION ALL SELECT 'usr-operator', 'operator', strftime('%Y-%m-%dT%H:%M:%fZ','now')`,
    `INSERT INTO access_grant(id, subject_type, subject_id, role, scope, created_at, created_by)
       SELECT 'grant-admin', 'user', 'usr-admin', 'admin', 'all', strftime('%Y-%m-%dT%H:%M:%fZ','now'), 'system'
       UNION ALL SELECT 'grant-operator', 'user', 'usr-operator', 'operator', 'all', strftime('%Y-%m-%dT%H:%M:%fZ','now'), 'system'`,
    // Sessions and links of before knew no users: everybody signs in anew.
    'DROP TABLE session',
    'DROP TABLE sign_in_link',
    `CREATE TABLE session(
       id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE, method TEXT NOT NULL,
       created_at TEXT NOT NULL, last_seen_at TEXT NOT NULL, expires_at TEXT NOT NULL, address TEXT NOT NULL, user_agent TEXT NOT NULL) STRICT`,
    `CREATE TABLE sign_in_link(
       hash TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE, expires_at TEXT NOT NULL,
       used INTEGER NOT NULL DEFAULT 0) STRICT`,
    `CREATE TABLE api_token(
       id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL UNIQUE, user_id TEXT NOT NULL REFERENCES user(id) ON DELETE CASCADE, name TEXT NOT NULL,
       permissions TEXT NOT NULL, scope TEXT NOT NULL, created_at TEXT NOT NULL, expires_at TEXT NOT NULL, last_used_at TEXT,
       UNIQUE(user_id, name)) STRICT`,
  ],
};

const EMPTY: Snapshot = {
  version: 0,
  users: new Map(),
  userIds: new Map(),
  groups: new Map(),
  roles: new Map(),
  grants: new Map(),
  groupsOf: new Map(),
};

export interface Directory {
  snapshot(): Snapshot;
  /** Runs a change in a transaction and reads the snapshot anew. One after the other.
   *  @throws last_administrator when nobody could manage access any more; nothing is changed then */
  change<Value>(work: (tx: Transaction) => Promise<Value>): Promise<Value>;
  load(): Promise<void>;
  /** Writes when a user last signed in, in the transaction that makes the session. */
  signedIn(tx: Transaction, userId: string, at: string): Promise<void>;
}

/** @param check looks at what a change leaves and throws when that must not be; the change is rolled back then
 *  @param onChange told after each change, with the new version */
export function createDirectory(
  db: Database,
  check: (before: Snapshot, after: Snapshot) => void,
  onChange: (version: number) => void,
): Directory {
  let current = EMPTY;
  const oneByOne = createQueue();

  const read = async (source: Database | Transaction): Promise<Snapshot> => {
    const at = source.tables<DirectoryTables>();
    const users = (await at.selectFrom('user').selectAll().execute()).map(
      (row): UserRow => ({
        id: row.id,
        name: row.name,
        title: row.title,
        isDisabled: row.disabled === 1,
        source: row.source,
        idleMinutes: row.idle_minutes,
        createdAt: row.created_at,
        lastSignInAt: row.last_sign_in_at,
      }),
    );
    const groups = await at.selectFrom('user_group').selectAll().execute();
    const roles = await at.selectFrom('role').selectAll().execute();
    const grants = await at.selectFrom('access_grant').selectAll().execute();
    const groupsOf = new Map<string, Set<string>>();
    for (const { group_id, user_id } of await at.selectFrom('group_member').selectAll().execute())
      groupsOf.set(user_id, (groupsOf.get(user_id) ?? new Set()).add(group_id));
    return {
      version: current.version + 1,
      users: new Map(users.map((user) => [user.id, user])),
      userIds: new Map(users.map((user) => [user.name, user.id])),
      groups: new Map(groups.map((group) => [group.id, group])),
      roles: new Map(roles.map((role) => [role.id, { ...role, permissions: JSON.parse(role.permissions) }])),
      grants: new Map(
        grants.map((row) => [
          row.id,
          {
            id: row.id,
            subjectType: row.subject_type,
            subjectId: row.subject_id,
            role: row.role,
            scope: row.scope,
            project: row.project_id,
            source: row.source,
            createdAt: row.created_at,
            createdBy: row.created_by,
          },
        ]),
      ),
      groupsOf,
    };
  };

  const take = (next: Snapshot) => {
    current = next;
    onChange(current.version);
  };

  return {
    snapshot: () => current,
    load: async () => take(await read(db)),
    change(work) {
      return oneByOne(async () => {
        const { value, next } = await db.transaction(async (tx) => {
          const value = await work(tx);
          const next = await read(tx);
          check(current, next);
          return { value, next };
        });
        take(next);
        return value;
      });
    },
    async signedIn(tx, userId, at) {
      await tx
        .tables<DirectoryTables>()
        .updateTable('user')
        .set({ last_sign_in_at: at })
        .where('id', '=', userId)
        .execute();
      tx.afterCommit(() => {
        const user = current.users.get(userId);
        if (user) user.lastSignInAt = at;
      });
    },
  };
}
