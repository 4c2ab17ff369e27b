/** The design's rule of who may do what, written a second time and apart from the code that it checks: a union of grants, each a list of
 *  permissions with a scope; a token narrows; what one may not see is as if it were not there. */

import type { ObjectType } from '#contract/define.ts';
import type { Permission } from '#contract/permissions.ts';
import type { Grant, Person, Place } from './everybody.ts';

export type Verdict = 'not signed in' | 'forbidden' | 'hidden' | 'allowed';

/** Whoever may not read it may not know of it. */
const READ: Readonly<Record<ObjectType, Permission>> = {
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
  token: 'access.read',
  key: 'access.read',
};

/** What was given to a project is read and used there, nothing else. */
const isForSharing = (permission: Permission) => permission.endsWith('.read') || permission.endsWith('.use');

function covers({ permissions, scope }: Grant, permission: Permission, place: Place): boolean {
  if (!permissions.includes(permission)) return false;
  if (scope === 'all') return true;
  const [kind, id = ''] = scope.split(':');
  if (kind === 'vm') return place.vmId === id;
  return place.project === id || (isForSharing(permission) && (place.sharedWith ?? []).includes(id));
}

/** Whether somebody holds a permission there. */
export function may({ grants, token }: Person, permission: Permission, place: Place): boolean {
  return (
    grants.some((grant) => covers(grant, permission, place)) && (token === null || covers(token, permission, place))
  );
}

/** Whether somebody holds a permission for anything at all. */
export function mayAnywhere({ userId, grants, token }: Person, permission: Permission): boolean {
  if (permission === 'self.manage') return userId !== null && token === null;
  return (
    grants.some(({ permissions }) => permissions.includes(permission)) &&
    (token === null || token.permissions.includes(permission))
  );
}

/** The whole system, which only a grant on everything covers. */
export const SYSTEM_PLACE: Place = { project: null };

/** What asking for a permission on an object must come to. @param place null = there is no such object */
export function verdictOn(person: Person, permission: Permission, type: ObjectType, place: Place | null): Verdict {
  if (person.userId === null) return 'not signed in';
  if (!mayAnywhere(person, permission)) return 'forbidden';
  if (place === null) return 'hidden';
  if (permission === 'self.manage') {
    if (place.owner === person.userId) return 'allowed';
    // Somebody else's is managed by those who manage access.
    return verdictOn(person, 'access.manage', type, place) === 'allowed'
      ? 'allowed'
      : may(person, READ[type], place)
        ? 'forbidden'
        : 'hidden';
  }
  if (!may(person, READ[type], place)) return 'hidden';
  return may(person, permission, place) ? 'allowed' : 'forbidden';
}

/** The same for a request about the whole system. */
export function verdictOnSystem(person: Person, permission: Permission): Verdict {
  if (person.userId === null) return 'not signed in';
  return may(person, permission, SYSTEM_PLACE) ? 'allowed' : 'forbidden';
}

/** The same for a list, which shows each what he may see. */
export function verdictOnList(person: Person, permission: Permission): Verdict {
  if (person.userId === null) return 'not signed in';
  return mayAnywhere(person, permission) ? 'allowed' : 'forbidden';
}
