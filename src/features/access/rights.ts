/** Works out what each user holds from users, groups, roles and grants; kept until one of them changes. */

import { createHash } from 'node:crypto';
import { BUILT_IN_ROLES, type BuiltInRoleName, type Permission, READ_ONLY_PERMISSIONS } from '#contract/permissions.ts';
import { idOfScope } from '#kernel/names.ts';
import type { GrantRow, Snapshot } from './directory.ts';
import type { Held, Reach, RightsTable } from './policy.ts';

/** Identities of the local sockets: who may open them is a matter of file rights. */
export const LOCAL_ADMIN = 'local:admin';
export const LOCAL_OPERATOR = 'local:operator';
/** What those who come by the sockets are called. */
export const LOCAL_NAMES = { [LOCAL_ADMIN]: 'root', [LOCAL_OPERATOR]: 'operator' } as const;

export const isBuiltInRole = (name: string): name is BuiltInRoleName => Object.hasOwn(BUILT_IN_ROLES, name);

/** @param operatorSeesScreens the guest's screen can hold secrets, so the configuration may take it from operators */
export function permissionsOfRole(
  role: string,
  customRoles: Snapshot['roles'],
  operatorSeesScreens: boolean,
): readonly Permission[] {
  if (!isBuiltInRole(role)) return customRoles.get(role)?.permissions ?? [];
  const { permissions } = BUILT_IN_ROLES[role];
  return role === 'operator' && !operatorSeesScreens
    ? permissions.filter((permission: Permission) => permission !== 'vm.screen')
    : permissions;
}

/** The grants that reach a user, with the group that brings each. */
export function grantsOf(userId: string, snapshot: Snapshot): { grant: GrantRow; through: string | null }[] {
  const groups = snapshot.groupsOf.get(userId) ?? new Set<string>();
  return [...snapshot.grants.values()].flatMap((grant): { grant: GrantRow; through: string | null }[] => {
    if (grant.subjectType === 'user') return grant.subjectId === userId ? [{ grant, through: null }] : [];
    if (!groups.has(grant.subjectId)) return [];
    return [{ grant, through: snapshot.groups.get(grant.subjectId)?.name ?? grant.subjectId }];
  });
}

function tableOf(
  entries: readonly { role: string; scope: string; held: Held }[],
  permissionsOf: (role: string) => readonly Permission[],
): RightsTable {
  const table = new Map<Permission, Reach>();
  for (const { role, scope, held } of entries) {
    for (const permission of permissionsOf(role)) {
      const reach = table.get(permission) ?? { all: null, projects: new Map(), vms: new Map() };
      table.set(permission, reach);
      const id = idOfScope(scope);
      if (scope === 'all') reach.all ??= held;
      else if (scope.startsWith('project:') && !reach.projects.has(id)) reach.projects.set(id, held);
      else if (scope.startsWith('vm:') && !reach.vms.has(id)) reach.vms.set(id, held);
    }
  }
  return table;
}

const NOTHING: RightsTable = new Map();

export interface RightsSource {
  /** What such a grant alone would give. */
  ofGrant(role: string, scope: string): RightsTable;
  permissionsOf(role: string): readonly Permission[];
  /** Equal for equal rights. */
  signature(userId: string): string;
  /** Nothing for an unknown or disabled user. */
  of(userId: string): RightsTable;
  /** What a user holds, or would hold again the moment he is enabled. */
  ofEnabled(userId: string): RightsTable;
  /** Whether all that the user holds only looks. */
  isReadOnly(userId: string): boolean;
}

export function createRights(snapshot: () => Snapshot, operatorSeesScreens: boolean): RightsSource {
  const known = new Map<string, RightsTable>();
  let version = -1;
  const permissionsOf = (role: string) => permissionsOfRole(role, snapshot().roles, operatorSeesScreens);
  const local = (role: BuiltInRoleName): RightsTable =>
    tableOf([{ role, scope: 'all', held: { grantId: `local:${role}`, role, through: null } }], permissionsOf);
  const [admin, operator] = [local('admin'), local('operator')];

  const compute = (userId: string): RightsTable => {
    if (userId === LOCAL_ADMIN) return admin;
    if (userId === LOCAL_OPERATOR) return operator;
    return snapshot().users.get(userId)?.isDisabled === false ? ofGrants(userId) : NOTHING;
  };
  const ofGrants = (userId: string): RightsTable =>
    tableOf(
      grantsOf(userId, snapshot()).map(({ grant, through }) => ({
        role: grant.role,
        scope: grant.scope,
        held: { grantId: grant.id, role: grant.role, through },
      })),
      permissionsOf,
    );

  const of = (userId: string): RightsTable => {
    if (snapshot().version !== version) {
      known.clear();
      version = snapshot().version;
    }
    const found = known.get(userId) ?? compute(userId);
    known.set(userId, found);
    return found;
  };
  return {
    ofGrant: (role, scope) => tableOf([{ role, scope, held: { grantId: '', role, through: null } }], permissionsOf),
    permissionsOf,
    signature: (userId) =>
      createHash('sha256')
        .update(
          JSON.stringify(
            [...of(userId)]
              .map(([permission, reach]) => [
                permission,
                reach.all !== null,
                [...reach.projects.keys()].sort(),
                [...reach.vms.keys()].sort(),
              ])
              .sort(),
          ),
        )
        .digest('base64'),
    of,
    ofEnabled: ofGrants,
    isReadOnly: (userId) => [...of(userId).keys()].every((one) => READ_ONLY_PERMISSIONS.has(one)),
  };
}

/** Whether somebody can manage access everywhere. */
export function hasAdministrator(snapshot: Snapshot): boolean {
  return [...snapshot.users.values()].some(
    (user) =>
      !user.isDisabled &&
      grantsOf(user.id, snapshot).some(
        ({ grant }) =>
          grant.scope === 'all' && permissionsOfRole(grant.role, snapshot.roles, true).includes('access.manage'),
      ),
  );
}

/** What the first table holds and the second does not; empty when `held` covers it all.
 *  @param projectOf the project that a VM is in: who holds it there holds it for the VM */
export function beyond(
  wanted: RightsTable,
  held: RightsTable,
  projectOf: (vmId: string) => string | null,
): Permission[] {
  return [...wanted].flatMap(([permission, reach]) => {
    const mine = held.get(permission);
    if (mine?.all) return [];
    if (reach.all) return [permission];
    const isCovered =
      [...reach.projects.keys()].every((id) => mine?.projects.has(id)) &&
      [...reach.vms.keys()].every((id) => mine?.vms.has(id) || mine?.projects.has(projectOf(id) ?? ''));
    return isCovered ? [] : [permission];
  });
}
