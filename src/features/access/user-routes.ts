/** Users and groups over HTTP. */

import type { Group, User } from '#contract/access.ts';
import type { May } from '#features/projects/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { page } from '#kernel/page.ts';
import type { Transaction } from '#platform/db/database.ts';
import type { Handlers } from '#platform/feature.ts';
import type { Directory, DirectoryTables, GroupRow, Snapshot, UserRow } from './directory.ts';
import { findGroup, findUser, grantObject, groupObject, groupOf, roleName, userObject, userOf } from './lookup.ts';
import type { OwnRights } from './own-rights.ts';
import { grantsOf, type RightsSource } from './rights.ts';
import type { Sessions } from './sessions.ts';
import type { Tokens } from './tokens.ts';

export interface UserRouteDependencies {
  readonly directory: Directory;
  readonly rights: RightsSource;
  readonly ownRights: OwnRights;
  readonly sessions: Sessions;
  readonly tokens: Tokens;
  readonly clock: Clock;
}

const taken = (what: string, name: string): AppError =>
  new AppError('already_exists', { detail: `There is a ${what} "${name}" already.` });

/** @param may whether the asker may see them: groups and roles that only others see are left out */
function userView(snapshot: Snapshot, user: UserRow, may: May): User {
  return {
    id: user.id,
    name: user.name,
    title: user.title,
    state: user.isDisabled ? 'disabled' : 'active',
    source: user.source,
    idleMinutes: user.idleMinutes,
    groups: [...(snapshot.groupsOf.get(user.id) ?? [])].flatMap((id) => {
      const group = snapshot.groups.get(id);
      return group && may('access.read', groupObject(snapshot, group)) ? [{ id, name: group.name }] : [];
    }),
    roles: [
      ...new Set(
        grantsOf(user.id, snapshot)
          .filter(({ grant }) => may('access.read', grantObject(grant)))
          .map(({ grant }) => roleName(snapshot, grant.role)),
      ),
    ],
    createdAt: user.createdAt,
    lastSignInAt: user.lastSignInAt,
  };
}

function groupView(snapshot: Snapshot, group: GroupRow): Group {
  return {
    id: group.id,
    name: group.name,
    title: group.title,
    state: 'active',
    members: [...snapshot.groupsOf]
      .filter(([, groups]) => groups.has(group.id))
      .map(([id]) => ({ id, name: snapshot.users.get(id)?.name ?? id })),
  };
}

export function createUserRoutes({
  directory,
  rights,
  ownRights,
  sessions,
  tokens,
  clock,
}: UserRouteDependencies): Handlers {
  const now = () => directory.snapshot();
  const byName = <Row extends { name: string }>(rows: Iterable<Row>) =>
    [...rows].sort((a, b) => (a.name < b.name ? -1 : 1));
  const at = (tx: Transaction) => tx.tables<DirectoryTables>();

  return {
    'GET /users': ({ query, may }) => {
      const wanted = query.q?.toLowerCase() ?? '';
      const seen = byName(now().users.values()).filter(
        (user) =>
          may('access.read', userObject(now(), user)) &&
          `${user.name} ${user.title ?? ''}`.toLowerCase().includes(wanted),
      );
      return page(seen, query, (user) => userView(now(), user, may));
    },
    'GET /users/{id}': ({ params, may }) => userView(now(), userOf(now(), params.id), may),
    'POST /users': async ({ body, may }) => {
      if (findUser(now(), body.name)) throw taken('user', body.name);
      const created = clock.now();
      const id = newId('usr', created.getTime());
      await directory.change((tx) =>
        at(tx)
          .insertInto('user')
          .values({
            id,
            name: body.name,
            title: body.title ?? null,
            disabled: 0,
            source: 'local',
            idle_minutes: body.idleMinutes ?? null,
            created_at: created.toISOString(),
            last_sign_in_at: null,
          })
          .execute(),
      );
      return userView(now(), userOf(now(), id), may);
    },
    'PATCH /users/{id}': async ({ params, body, identity, may }) => {
      const user = userOf(now(), params.id);
      ownRights.requireOver(identity, user.id);
      const holder = body.name === undefined ? null : findUser(now(), body.name);
      if (holder && holder.id !== user.id) throw taken('user', holder.name);
      await directory.change((tx) =>
        at(tx)
          .updateTable('user')
          .set({
            name: body.name ?? user.name,
            title: body.title === undefined ? user.title : body.title,
            idle_minutes: body.idleMinutes === undefined ? user.idleMinutes : body.idleMinutes,
            disabled: Number(body.state === undefined ? user.isDisabled : body.state === 'disabled'),
          })
          .where('id', '=', user.id)
          .execute(),
      );
      if (body.state === 'disabled') await sessions.endAllOf(user.id);
      return userView(now(), userOf(now(), user.id), may);
    },
    'DELETE /users/{id}': async ({ params, identity }) => {
      const user = userOf(now(), params.id);
      ownRights.requireOver(identity, user.id);
      await directory.change(async (tx) => {
        await at(tx)
          .deleteFrom('access_grant')
          .where('subject_type', '=', 'user')
          .where('subject_id', '=', user.id)
          .execute();
        await at(tx).deleteFrom('user').where('id', '=', user.id).execute();
      });
      await sessions.endAllOf(user.id);
      await tokens.load();
    },

    'GET /groups': ({ query, may }) =>
      page(
        byName(now().groups.values()).filter((group) => may('access.read', groupObject(now(), group))),
        query,
        (group) => groupView(now(), group),
      ),
    'GET /groups/{id}': ({ params }) => groupView(now(), groupOf(now(), params.id)),
    'POST /groups': async ({ body }) => {
      if (findGroup(now(), body.name)) throw taken('group', body.name);
      const id = newId('grp', clock.now().getTime());
      await directory.change((tx) =>
        at(tx)
          .insertInto('user_group')
          .values({ id, name: body.name, title: body.title ?? null })
          .execute(),
      );
      return groupView(now(), groupOf(now(), id));
    },
    'PATCH /groups/{id}': async ({ params, body, identity }) => {
      const group = groupOf(now(), params.id);
      requireOverGroup(identity, group);
      const holder = body.name === undefined ? null : findGroup(now(), body.name);
      if (holder && holder.id !== group.id) throw taken('group', holder.name);
      const idsOf = (users: readonly string[] = []) => users.map((one) => userOf(now(), one).id);
      const members = body.members === undefined ? null : new Set(idsOf(body.members));
      const [joining, leaving] = [idsOf(body.add), idsOf(body.remove)];
      await directory.change(async (tx) => {
        await at(tx)
          .updateTable('user_group')
          .set({ name: body.name ?? group.name, title: body.title === undefined ? group.title : body.title })
          .where('id', '=', group.id)
          .execute();
        if (members !== null) await at(tx).deleteFrom('group_member').where('group_id', '=', group.id).execute();
        for (const user_id of [...(members ?? []), ...joining])
          await at(tx)
            .insertInto('group_member')
            .values({ group_id: group.id, user_id })
            .onConflict((conflict) => conflict.doNothing())
            .execute();
        if (leaving.length > 0)
          await at(tx)
            .deleteFrom('group_member')
            .where('group_id', '=', group.id)
            .where('user_id', 'in', leaving)
            .execute();
      });
      return groupView(now(), groupOf(now(), group.id));
    },
    'DELETE /groups/{id}': async ({ params, identity }) => {
      const group = groupOf(now(), params.id);
      requireOverGroup(identity, group);
      await directory.change(async (tx) => {
        await at(tx)
          .deleteFrom('access_grant')
          .where('subject_type', '=', 'group')
          .where('subject_id', '=', group.id)
          .execute();
        await at(tx).deleteFrom('user_group').where('id', '=', group.id).execute();
      });
    },
  };

  /** Who sets its members gives what the group holds. */
  function requireOverGroup(identity: Parameters<OwnRights['requireWithin']>[0], group: GroupRow): void {
    for (const grant of now().grants.values())
      if (grant.subjectType === 'group' && grant.subjectId === group.id)
        ownRights.requireWithin(identity, rights.ofGrant(grant.role, grant.scope));
  }
}
