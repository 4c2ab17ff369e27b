/** Finds which other VMs build upon the disks of one. */

import type { InventoryApi } from '#features/inventory/index.ts';
import { backingChain } from '#platform/backing-chain.ts';

/** Names of other VMs whose disks build upon a disk of this one; those of other projects are not named.
 *  @param project the one that the VM belongs to */
export async function dependants(
  vmId: string,
  project: string,
  disks: readonly string[],
  known: InventoryApi,
): Promise<string[]> {
  const names = new Set<string>();
  for (const vm of known.vms().filter(({ id }) => id !== vmId)) {
    const all = [...(known.facts(vm.id)?.disks ?? []), ...(known.storedFacts(vm.id)?.disks ?? [])];
    const overlays = new Set(all.flatMap((disk) => (disk.format === 'qcow2' && disk.path !== null ? [disk.path] : [])));
    for (const overlay of overlays)
      if ((await backingChain(overlay)).some((file) => disks.includes(file)))
        names.add(vm.project === project ? vm.name : 'VMs of other projects');
  }
  return [...names].sort();
}
