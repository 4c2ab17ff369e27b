/** Which VMs a schedule covers. Pure. */

import type { ScheduleTargets } from '#contract/protection.ts';
import type { Vm } from '#contract/vms.ts';

export type CoveredVm = Pick<Vm, 'id' | 'name' | 'project' | 'tags' | 'persistent'>;

export interface Coverage<Covered> {
  readonly covered: readonly Covered[];
  /** Would be covered, and are excepted. */
  readonly leftOut: readonly Covered[];
}

/** VMs that libvirt forgets when they stop have no definition that could be restored: none of them is covered.
 *  @param vms in the order in which they are backed up */
export function coverageOf<Covered extends CoveredVm>(
  targets: ScheduleTargets,
  vms: readonly Covered[],
): Coverage<Covered> {
  const except = new Set(targets.except);
  const meant = vms.filter((vm) => vm.persistent && isMeant(targets, vm));
  return { covered: meant.filter(({ id }) => !except.has(id)), leftOut: meant.filter(({ id }) => except.has(id)) };
}

function isMeant(targets: ScheduleTargets, vm: CoveredVm): boolean {
  switch (targets.kind) {
    case 'all':
      return true;
    case 'project':
      return vm.project === targets.project;
    case 'tags':
      return targets.tags.some((tag) => vm.tags.includes(tag));
    case 'vms':
      return targets.vms.includes(vm.id);
  }
}
