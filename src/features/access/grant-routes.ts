/** Roles and grants over HTTP, and the answer to "what may this user do, and why?". */

import type { Grant, Role } from '#contract/access.ts';
import { BUILT_IN_ROLE_NAMES, BUILT_IN_ROLES, PERMISSIONS, type Permission } from '#contract/permissions.ts';
import type { May } from '#features/projects/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { idOfScope } from '#kernel/names.ts';
import { page } from '#kernel/page.ts';
import type { Transaction } from '#platform/db/database.ts';
import {
  type Decide,
  type FoundObject,
  type Handlers,
  type Identity,
  type ObjectRef,
  SYSTEM,
} from '#platform/feature.ts';
import type { Directory, DirectoryTables, GrantRow, Snapshot } from './directory.ts';
import { findRole, findUser, grantObject, groupOf, roleIdOf, roleName, userOf } from './lookup.ts';
import type { OwnRights } from './own-rights.ts';
import { grantsOf, isBuiltInRole, type RightsSource } from './rights.ts';

/** Objects that grants speak of, found by the slices that own them. */
export interface ScopeObjects {
  /** By id or name; null when there is none. */
  project(idOrName: string): { readonly id: string; readonly name: string } | null;
  /** By UUID, or by name among those that are visible. @throws ambiguous_name */
  vm(idOrName: string, isVisible: (object: ObjectRef) => boolean): FoundObject | null;
}

export interface GrantRouteDependencies {
  readonly directory: Directory;
  readonly rights: RightsSource;
  readonly ownRights: OwnRights;
  readonly decide: Decide;
  readonly objects: ScopeObjects;
  readonly clock: Clock;
}

export function createGrantRoutes({
  directory,
  rights,
  ownRights,
  decide,
  objects,
  clock,
}: GrantRouteDependencies): Handlers {
  const now = () => directory.snapshot();
  const at = (tx: Transaction) => tx.tables<DirectoryTables>();

  /** Counted are the grants that the asker may see. */
  const roleViews = (may: May): Role[] => {
    const counts = new Map<string, number>();
    for (const grant of now().grants.values())
      if (may('access.read', grantObject(grant))) counts.set(grant.role, (counts.get(grant.role) ?? 0) + 1);
    return [
      ...BUILT_IN_ROLE_NAMES.map(
        (name): Role => ({
          id: name,
          name,
          title: `${BUILT_IN_ROLES[name].title}: ${BUILT_IN_ROLES[name].meaning}`,
          state: 'built_in',
          permissions: [...rights.permissionsOf(name)],
          grants: counts.get(name) ?? 0,
        }),
      ),
      ...[...now().roles.values()].map(
        (role): Role => ({
          id: role.id,
          name: role.name,
          title: role.title,
          state: 'custom',
          permissions: [...role.permissions],
          grants: counts.get(role.id) ?? 0,
        }),
      ),
    ];
  };
  const roleView = (idOrName: string, may: May): Role => {
    const id = roleIdOf(now(), idOrName);
    const found = roleViews(may).find((role) => role.id === id);
    if (!found) throw new AppError('not_found', { detail: `There is no role "${idOrName.slice(0, 80)}".` });
    return found;
  };
  const customRole = (idOrName: string) => {
    if (isBuiltInRole(idOrName)) throw new AppError('built_in', { detail: `The role ${idOrName} is built in.` });
    const role = findRole(now(), idOrName);
    if (!role) throw new AppError('not_found', { detail: `There is no role "${idOrName.slice(0, 80)}".` });
    return role;
  };
  /** A role may hold only what its maker holds everywhere. */
  const requireOwn = (identity: Identity, permissions: readonly Permission[]) => {
    const mine = rights.of(identity.userId);
    const missing = permissions.filter((one) => one !== 'self.manage' && !mine.get(one)?.all);
    if (missing.length > 0)
      throw new AppError('beyond_own_rights', {
        detail: `You do not hold ${missing.slice(0, 5).join(', ')} everywhere.`,
      });
  };
  const requireFreeRoleName = (name: string, exceptId: string | null) => {
    const holder = isBuiltInRole(name) ? { id: name } : findRole(now(), name);
    if (holder && holder.id !== exceptId)
      throw new AppError('already_exists', { detail: `There is a role "${name}" already.` });
  };

  const scopeName = (scope: string): string => {
    const id = idOfScope(scope);
    if (scope === 'all') return 'the whole system';
    if (scope.startsWith('project:')) return `project ${objects.project(id)?.name ?? id}`;
    return `VM ${objects.vm(id, () => true)?.name ?? id}`;
  };
  const subjectName = (snapshot: Snapshot, grant: GrantRow): string =>
    (grant.subjectType === 'user' ? snapshot.users.get(grant.subjectId) : snapshot.groups.get(grant.subjectId))?.name ??
    grant.subjectId;
  const grantView = (grant: GrantRow): Grant => ({
    id: grant.id,
    name: `${subjectName(now(), grant)}: ${roleName(now(), grant.role)} on ${scopeName(grant.scope)}`,
    state: 'active',
    subject: { type: grant.subjectType, id: grant.subjectId, name: subjectName(now(), grant) },
    role: roleName(now(), grant.role),
    scope: grant.scope,
    scopeName: scopeName(grant.scope),
    source: grant.source,
    createdAt: grant.createdAt,
    createdBy: grant.createdBy,
  });
  const grantOf = (id: string): GrantRow => {
    const grant = now().grants.get(id);
    if (!grant) throw new AppError('not_found', { detail: `There is no grant "${id.slice(0, 80)}".` });
    return grant;
  };

  /** The object that a scope covers and the scope with its id. @throws not_found */
  /** What one may not see is answered as what is not there, so the object is called as it was asked for. */
  const scopeObject = (scope: string): { scope: string; object: FoundObject } => {
    if (scope === 'all') return { scope, object: { ...SYSTEM, name: 'the whole system' } };
    const id = idOfScope(scope);
    if (scope.startsWith('project:')) {
      const project = objects.project(id);
      if (!project) throw new AppError('not_found', { detail: `There is no project "${id.slice(0, 80)}".` });
      return {
        scope: `project:${project.id}`,
        object: { type: 'project', id: project.id, name: id, project: project.id },
      };
    }
    const vm = objects.vm(id, () => true);
    if (!vm) throw new AppError('not_found', { detail: `There is no vm "${id.slice(0, 80)}".` });
    return { scope: `vm:${vm.id}`, object: { ...vm, name: id } };
  };

  const askedObject = (
    query: { vm?: string | undefined; project?: string | undefined },
    identity: Identity,
  ): FoundObject => {
    if (query.vm !== undefined) {
      // How many of that name there are elsewhere is not told either.
      const vm = objects.vm(query.vm, (object) => decide(identity, 'vm.read', object).allow);
      if (!vm || !decide(identity, 'vm.read', vm).allow)
        throw new AppError('not_found', { detail: `There is no VM "${query.vm.slice(0, 80)}".` });
      return vm;
    }
    if (query.project === undefined) return { ...SYSTEM, name: 'the whole system' };
    const project = objects.project(query.project);
    const object: FoundObject | null = project
      ? { type: 'project', id: project.id, name: project.name, project: project.id }
      : null;
    if (!object || !decide(identity, 'project.read', object).allow)
      throw new AppError('not_found', { detail: `There is no project "${query.project.slice(0, 80)}".` });
    return object;
  };

  const because = (
    user: { id: string; name: string; isDisabled: boolean },
    permission: Permission,
    object: FoundObject,
    grantId: string | null,
  ): string => {
    if (user.isDisabled) return `may not: the user is disabled`;
    if (grantId === 'self') return `may ${permission}: everyone manages his own`;
    const held = grantsOf(user.id, now()).find(({ grant }) => grant.id === grantId);
    if (!held) return `may not: no grant gives ${permission} on ${object.name}`;
    const role = roleName(now(), held.grant.role);
    return `may ${permission} on ${object.name} because ${held.through ? `the group ${held.through}` : user.name} is ${role} on ${scopeName(held.grant.scope)}`;
  };

  return {
    'GET /roles': ({ query, may }) => page(roleViews(may), query, (role) => role),
    'GET /roles/{id}': ({ params, may }) => roleView(params.id, may),
    'POST /roles': async ({ body, identity, may }) => {
      requireFreeRoleName(body.name, null);
      requireOwn(identity, body.permissions);
      const id = newId('role', clock.now().getTime());
      await directory.change((tx) =>
        at(tx)
          .insertInto('role')
          .values({
            id,
            name: body.name,
            title: body.title ?? body.name,
            permissions: JSON.stringify(inTableOrder(body.permissions)),
          })
          .execute(),
      );
      return roleView(id, may);
    },
    'PATCH /roles/{id}': async ({ params, body, identity, may }) => {
      const role = customRole(params.id);
      if (body.name !== undefined) requireFreeRoleName(body.name, role.id);
      requireOwn(identity, [...role.permissions, ...(body.permissions ?? [])]);
      await directory.change((tx) =>
        at(tx)
          .updateTable('role')
          .set({
            name: body.name ?? role.name,
            title: body.title ?? role.title,
            permissions: JSON.stringify(inTableOrder(body.permissions ?? role.permissions)),
          })
          .where('id', '=', role.id)
          .execute(),
      );
      return roleView(role.id, may);
    },
    'DELETE /roles/{id}': async ({ params }) => {
      const role = customRole(params.id);
      if ([...now().grants.values()].some((grant) => grant.role === role.id)) throw new AppError('still_granted');
      await directory.change((tx) => at(tx).deleteFrom('role').where('id', '=', role.id).execute());
    },

    'GET /grants': ({ query, may }) => {
      const user = query.user === undefined ? null : userOf(now(), query.user).id;
      const group = query.group === undefined ? null : groupOf(now(), query.group).id;
      const role = query.role === undefined ? null : roleIdOf(now(), query.role);
      const seen = [...now().grants.values()].filter(
        (grant) =>
          may('access.read', grantObject(grant)) &&
          (user === null || (grant.subjectType === 'user' && grant.subjectId === user)) &&
          (group === null || (grant.subjectType === 'group' && grant.subjectId === group)) &&
          (role === null || grant.role === role) &&
          (query.scope === undefined || grant.scope === query.scope),
      );
      return page(seen, query, grantView);
    },
    'POST /grants': async ({ body, identity, require }) => {
      if ((body.user === undefined) === (body.group === undefined))
        throw new AppError('invalid_input', { detail: 'Name either a user or a group.' });
      const { scope, object } = scopeObject(body.scope);
      require('access.manage', object);
      const subject =
        body.user === undefined
          ? { type: 'group' as const, id: groupOf(now(), body.group ?? '').id }
          : { type: 'user' as const, id: userOf(now(), body.user).id };
      const role = roleIdOf(now(), body.role);
      ownRights.requireWithin(identity, rights.ofGrant(role, scope));
      const created = clock.now();
      const id = newId('grant', created.getTime());
      const isThere = [...now().grants.values()].find(
        (grant) =>
          grant.subjectType === subject.type &&
          grant.subjectId === subject.id &&
          grant.role === role &&
          grant.scope === scope &&
          grant.source === 'local',
      );
      if (isThere) throw new AppError('already_exists', { detail: `"${grantView(isThere).name}" is granted already.` });
      await directory.change((tx) =>
        at(tx)
          .insertInto('access_grant')
          .values({
            id,
            subject_type: subject.type,
            subject_id: subject.id,
            role,
            scope,
            project_id: object.project,
            source: 'local',
            created_at: created.toISOString(),
            created_by: identity.user,
          })
          .execute(),
      );
      return grantView(grantOf(id));
    },
    'DELETE /grants/{id}': async ({ params, identity }) => {
      const grant = grantOf(params.id);
      ownRights.requireWithin(identity, rights.ofGrant(grant.role, grant.scope));
      await directory.change((tx) => at(tx).deleteFrom('access_grant').where('id', '=', grant.id).execute());
    },

    'GET /users/{id}/rights': ({ params, query, identity, may }) => {
      const user = findUser(now(), params.id);
      if (!user) throw new AppError('not_found', { detail: `There is no user "${params.id.slice(0, 80)}".` });
      const grants = grantsOf(user.id, now())
        .filter(({ grant }) => may('access.read', grantObject(grant)))
        .map(({ grant, through }) => ({
          id: grant.id,
          role: roleName(now(), grant.role),
          scope: grant.scope,
          scopeName: scopeName(grant.scope),
          through,
          permissions: [...rights.permissionsOf(grant.role)],
        }));
      if (query.permission === undefined) return { user: user.name, grants, answer: null };
      const object = askedObject(query, identity);
      const asUser: Identity = { ...identity, userId: user.id, user: user.name, via: 'session', tokenId: null };
      const decision = decide(asUser, query.permission, object);
      return {
        user: user.name,
        grants,
        answer: {
          permission: query.permission,
          object: object.name,
          allow: decision.allow,
          visible: decision.visible,
          because: `${user.name} ${because(user, query.permission, object, decision.grant)}`,
        },
      };
    },
  };
}

const inTableOrder = (permissions: readonly Permission[]): Permission[] =>
  PERMISSIONS.filter((permission) => permissions.includes(permission));
