/** The policy function: every door asks it and nothing else decides. Deny by default. */

import { OPERATOR_PERMISSIONS, PERMISSIONS, type Permission } from '#contract/permissions.ts';
import type { Identity } from '#platform/feature.ts';

/** What an identity holds.
 *  @param operatorSeesScreens the guest's screen can hold secrets, so the configuration may take it from operators */
export function permissionsOf(who: Pick<Identity, 'role'>, operatorSeesScreens: boolean): readonly Permission[] {
  if (who.role === 'admin') return PERMISSIONS;
  return OPERATOR_PERMISSIONS.filter((permission) => permission !== 'vm.screen' || operatorSeesScreens);
}

export function decide(who: Pick<Identity, 'role'>, permission: Permission, operatorSeesScreens: boolean): boolean {
  return permissionsOf(who, operatorSeesScreens).includes(permission);
}
