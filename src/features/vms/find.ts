/** VMs and trash items as objects of policy: by id, by name among those that the asker may see, or as PROJECT/NAME. */

import type { Vm } from '#contract/vms.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, ObjectRef } from '#platform/feature.ts';
import type { TrashRow } from './trash-store.ts';

type IsVisible = (object: ObjectRef) => boolean;

export const vmObject = (vm: Pick<Vm, 'id' | 'name' | 'project'>): FoundObject => ({
  type: 'vm',
  id: vm.id,
  name: vm.name,
  project: vm.project,
  vmId: vm.id,
});

export const trashObject = (row: TrashRow, projects: Pick<ProjectsApi, 'ofDomain'>): FoundObject => ({
  type: 'trash',
  id: row.id,
  ...projects.ofDomain(row.name),
  vmId: row.vmId,
});

/** @throws ambiguous_name */
function only(found: readonly FoundObject[], what: string, name: string): FoundObject | null {
  if (found.length > 1)
    throw new AppError('ambiguous_name', {
      detail: `${found.length} ${what} are called "${name.slice(0, 80)}".`,
      hint: 'Name it as PROJECT/NAME, or use its id; the list shows both.',
    });
  return found[0] ?? null;
}

/** The part of `PROJECT/NAME` after the slash, where there is one and the project exists. */
function split(idOrName: string, projects: Pick<ProjectsApi, 'get'>): { project: string; name: string } | null {
  const at = idOrName.indexOf('/');
  const project = at < 0 ? null : projects.get(idOrName.slice(0, at));
  return project ? { project: project.id, name: idOrName.slice(at + 1) } : null;
}

export function createFindVm(
  known: Pick<InventoryApi, 'vm' | 'named'>,
  projects: Pick<ProjectsApi, 'get'>,
): (idOrName: string, isVisible: IsVisible) => FoundObject | null {
  return (idOrName, isVisible) => {
    const byId = known.vm(idOrName);
    if (byId?.id === idOrName) return vmObject(byId);
    const parts = split(idOrName, projects);
    const named = parts ? known.named(parts.name).filter((vm) => vm.project === parts.project) : known.named(idOrName);
    return only(named.map(vmObject).filter(isVisible), 'VMs', idOrName);
  };
}

/** By id, else by the name of the VM where only one in the trash had it. */
export function findTrash(
  rows: readonly TrashRow[],
  projects: Pick<ProjectsApi, 'get' | 'ofDomain'>,
  idOrName: string,
  isVisible: IsVisible,
): FoundObject | null {
  const byId = rows.find((row) => row.id === idOrName || row.vmId === idOrName);
  if (byId) return trashObject(byId, projects);
  const parts = split(idOrName, projects);
  const named = rows
    .map((row) => trashObject(row, projects))
    .filter((row) => (parts ? row.name === parts.name && row.project === parts.project : row.name === idOrName));
  return only(named.filter(isVisible), 'VMs in the trash', idOrName);
}
