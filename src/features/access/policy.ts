/** The policy function: every door asks it and nothing else decides. Pure over a snapshot of rights; deny by default. */

import type { ObjectType } from '#contract/define.ts';
import type { Permission } from '#contract/permissions.ts';
import { idOfScope } from '#kernel/names.ts';
import type { Decision, ObjectRef } from '#platform/feature.ts';

/** A grant as it reaches one user. */
export interface Held {
  readonly grantId: string;
  readonly role: string;
  /** The group that brings it; null when it was given to the user. */
  readonly through: string | null;
}

/** Where one permission holds. */
export interface Reach {
  all: Held | null;
  readonly projects: Map<string, Held>;
  readonly vms: Map<string, Held>;
}

/** Everything a user holds. A union of grants: no grant takes anything away. */
export type RightsTable = ReadonlyMap<Permission, Reach>;

/** What a token narrows its owner's rights to. */
export interface TokenLimit {
  readonly permissions: ReadonlySet<Permission>;
  /** `all`, `project:<id>` or `vm:<uuid>`. */
  readonly scope: string;
}

/** Who does not hold this may not know that such an object exists. */
const SEEN_BY: Readonly<Record<ObjectType | 'system', Permission | null>> = {
  system: null,
  vm: 'vm.read',
  trash: 'vm.read',
  image: 'image.read',
  upload: 'image.read',
  network: 'network.read',
  pool: 'storage.read',
  operation: 'operation.read',
  host: 'host.read',
  project: 'project.read',
  user: 'access.read',
  group: 'access.read',
  role: 'access.read',
  grant: 'access.read',
  channel: 'alert.read',
  silence: 'alert.read',
  alert: 'alert.read',
  rule: 'alert.read',
  repository: 'backup.read',
  'restore-point': 'backup.read',
  proof: 'backup.read',
  schedule: 'backup.read',
  session: 'access.read',
  key: 'access.read',
  token: 'access.read',
};

/** The permission that makes an object of this type visible; null = everybody may know of it. */
export const seenBy = (type: ObjectRef['type']): Permission | null => SEEN_BY[type];

const REFUSED: Decision = { allow: false, visible: false, grant: null };

/** What one may do with a thing that was shared with one's project: look at it and use it, nothing else. */
const isShareable = (permission: Permission): boolean => permission.endsWith('.read') || permission.endsWith('.use');

function holds(rights: RightsTable, permission: Permission, object: ObjectRef): Held | null {
  const reach = rights.get(permission);
  if (reach === undefined) return null;
  if (reach.all !== null) return reach.all;
  if (object.project !== null) {
    const held = reach.projects.get(object.project);
    if (held) return held;
  }
  if (object.vmId !== undefined) {
    const held = reach.vms.get(object.vmId);
    if (held) return held;
  }
  if (object.sharedWith === undefined || !isShareable(permission)) return null;
  if (object.sharedWith === 'all') return reach.projects.values().next().value ?? null;
  for (const project of object.sharedWith) {
    const held = reach.projects.get(project);
    if (held) return held;
  }
  return null;
}

/** Whether a scope covers an object for this permission. */
function covers(scope: string, permission: Permission, object: ObjectRef): boolean {
  if (scope === 'all') return true;
  const id = idOfScope(scope);
  if (scope.startsWith('vm:')) return object.vmId === id;
  if (object.project === id) return true;
  if (object.sharedWith === undefined || !isShareable(permission)) return false;
  return object.sharedWith === 'all' || object.sharedWith.includes(id);
}

/** @param token set when a token asks: its scope ∩ its owner's rights */
export function decideBy(
  userId: string,
  rights: RightsTable,
  token: TokenLimit | null,
  permission: Permission,
  object: ObjectRef,
): Decision {
  if (permission === 'self.manage') {
    if (token !== null) return { ...REFUSED, visible: object.type === 'system' || object.owner === userId };
    if (object.type === 'system' || object.owner === userId) return { allow: true, visible: true, grant: 'self' };
    if (object.owner === undefined) return REFUSED;
    // What belongs to somebody else is managed by those who manage access.
    return decideBy(userId, rights, null, 'access.manage', { ...object, owner: undefined });
  }
  const may = (asked: Permission): Held | null =>
    token !== null && !(token.permissions.has(asked) && covers(token.scope, asked, object))
      ? null
      : holds(rights, asked, object);
  const seenBy = SEEN_BY[object.type];
  if (seenBy !== null && seenBy !== permission && may(seenBy) === null) return REFUSED;
  const held = may(permission);
  if (held) return { allow: true, visible: true, grant: held.grantId };
  return { allow: false, visible: seenBy === null || seenBy !== permission, grant: null };
}

/** Whether the permission holds for anything at all. */
export function holdsAnywhere(rights: RightsTable, token: TokenLimit | null, permission: Permission): boolean {
  if (permission === 'self.manage') return token === null;
  return rights.has(permission) && (token === null || token.permissions.has(permission));
}

/** Where the permission holds; null = everywhere. */
export function reachOf(
  rights: RightsTable,
  token: TokenLimit | null,
  permission: Permission,
): { readonly projects: readonly string[]; readonly vms: readonly string[] } | null {
  const reach = rights.get(permission);
  if (!reach || (token !== null && !token.permissions.has(permission))) return { projects: [], vms: [] };
  if (token === null || token.scope === 'all')
    return reach.all ? null : { projects: [...reach.projects.keys()], vms: [...reach.vms.keys()] };
  const id = idOfScope(token.scope);
  if (token.scope.startsWith('project:')) return { projects: reach.all || reach.projects.has(id) ? [id] : [], vms: [] };
  return { projects: [], vms: reach.all || reach.vms.has(id) ? [id] : [] };
}
