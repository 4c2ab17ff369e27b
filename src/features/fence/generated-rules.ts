/** The rule files as they are committed in `host/polkit`: made from the permission table and from the calls that the libvirt client has. */

import { BUILT_IN_ROLES, type Permission } from '#contract/permissions.ts';
import { usedAccessActions } from '#libvirt/index.ts';
import { hostActionsOf } from './host-rights.ts';
import { polkitDenyRules, polkitRules, type RuleLists } from './polkit-rules.ts';

/** Whether operators see screens is a setting (`console.operatorSeesScreens`) that a rule file cannot look up: on the host they do not. */
const isOnHost = (permission: Permission) => permission !== 'vm.screen';

/** libvirt tells polkit a domain's name, which says whose it is; of networks and pools it is not to be seen whose they are. */
const isOfOneVm = (permission: Permission) => permission.startsWith('vm.');

/** A start and a stop of a VM whose NICs are filtered. Not for people: a filter could be taken off another project's NIC by its name. */
const FILTERS = [
  'nwfilter.getattr',
  'nwfilter.read',
  'nwfilter-binding.create',
  'nwfilter-binding.delete',
  'nwfilter-binding.getattr',
  'nwfilter-binding.read',
];

export function ruleLists(): RuleLists {
  return {
    hyper: usedAccessActions(),
    admin: hostActionsOf(BUILT_IN_ROLES.admin.permissions),
    operator: hostActionsOf(BUILT_IN_ROLES.operator.permissions.filter(isOnHost)),
    project: hostActionsOf(BUILT_IN_ROLES['vm-operator'].permissions.filter(isOfOneVm)),
    forwarded: FILTERS,
  };
}

export const generatedRules = (): string => polkitRules(ruleLists());
export const generatedDenyRules = (): string => polkitDenyRules();
