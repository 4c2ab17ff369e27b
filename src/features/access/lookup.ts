/** Finds users, groups and roles by id or name, and says what of them the members of a project may see. */

import { AppError } from '#kernel/errors.ts';
import type { FoundObject } from '#platform/feature.ts';
import type { GrantRow, GroupRow, RoleRow, Snapshot, UserRow } from './directory.ts';
import { isBuiltInRole } from './rights.ts';

const missing = (what: string, id: string): AppError =>
  new AppError('not_found', { detail: `There is no ${what} "${id.slice(0, 80)}".` });

export const findUser = (snapshot: Snapshot, idOrName: string): UserRow | null =>
  snapshot.users.get(idOrName) ?? snapshot.users.get(snapshot.userIds.get(idOrName) ?? '') ?? null;

export const findGroup = (snapshot: Snapshot, idOrName: string): GroupRow | null =>
  snapshot.groups.get(idOrName) ?? [...snapshot.groups.values()].find(({ name }) => name === idOrName) ?? null;

export const findRole = (snapshot: Snapshot, idOrName: string): RoleRow | null =>
  snapshot.roles.get(idOrName) ?? [...snapshot.roles.values()].find(({ name }) => name === idOrName) ?? null;

/** @throws not_found */
export function userOf(snapshot: Snapshot, idOrName: string): UserRow {
  const user = findUser(snapshot, idOrName);
  if (!user) throw missing('user', idOrName);
  return user;
}

/** @throws not_found */
export function groupOf(snapshot: Snapshot, idOrName: string): GroupRow {
  const group = findGroup(snapshot, idOrName);
  if (!group) throw missing('group', idOrName);
  return group;
}

/** The id under which a role is granted: a built-in one's name, a custom one's id. @throws not_found */
export function roleIdOf(snapshot: Snapshot, idOrName: string): string {
  if (isBuiltInRole(idOrName)) return idOrName;
  const role = findRole(snapshot, idOrName);
  if (!role) throw missing('role', idOrName);
  return role.id;
}

export const roleName = (snapshot: Snapshot, id: string): string => snapshot.roles.get(id)?.name ?? id;

/** Projects in which a user or group has a grant: those who see access there see it. */
export function projectsOfSubject(snapshot: Snapshot, type: 'user' | 'group', id: string): string[] {
  const groups = type === 'user' ? (snapshot.groupsOf.get(id) ?? new Set<string>()) : new Set<string>();
  return [
    ...new Set(
      [...snapshot.grants.values()].flatMap((grant) =>
        grant.project !== null &&
        ((grant.subjectType === type && grant.subjectId === id) ||
          (grant.subjectType === 'group' && groups.has(grant.subjectId)))
          ? [grant.project]
          : [],
      ),
    ),
  ];
}

export const userObject = (snapshot: Snapshot, user: UserRow): FoundObject => ({
  type: 'user',
  id: user.id,
  name: user.name,
  project: null,
  sharedWith: projectsOfSubject(snapshot, 'user', user.id),
});

export const groupObject = (snapshot: Snapshot, group: GroupRow): FoundObject => ({
  type: 'group',
  id: group.id,
  name: group.name,
  project: null,
  sharedWith: projectsOfSubject(snapshot, 'group', group.id),
});

export const grantObject = (grant: GrantRow): FoundObject => ({
  type: 'grant',
  id: grant.id,
  name: grant.id,
  project: grant.project,
});
