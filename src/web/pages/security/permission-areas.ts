/** The permissions by what they are about, in the order of the contract, as tables and editors show them. */

import { PERMISSIONS, type Permission } from '#contract/permissions.ts';
import { text } from '../../text.ts';

export interface PermissionArea {
  readonly id: keyof typeof text.access.areas;
  readonly name: string;
  readonly permissions: readonly Permission[];
}

const idOf = (permission: Permission): PermissionArea['id'] => {
  const before = permission.slice(0, permission.indexOf('.'));
  const areas = Object.keys(text.access.areas) as PermissionArea['id'][];
  return areas.find((area) => area === before) ?? 'self';
};

/** Everyone manages his own account; no role gives that. */
export const GRANTABLE: readonly Permission[] = PERMISSIONS.filter((permission) => permission !== 'self.manage');

/** Only areas of which something is in the list. */
export function areasOf(permissions: readonly Permission[]): readonly PermissionArea[] {
  const ids = [...new Set(permissions.map(idOf))];
  return ids.map((id) => ({
    id,
    name: text.access.areas[id],
    permissions: permissions.filter((permission) => idOf(permission) === id),
  }));
}
