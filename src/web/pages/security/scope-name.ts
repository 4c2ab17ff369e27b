/** A scope in words, from the projects and VMs that are known here. */

import { idOfScope } from '#kernel/names.ts';
import { projects } from '../../state/projects.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';

/** @returns null for `all` */
export function scopeName(scope: string): string | null {
  if (scope === 'all') return null;
  const id = idOfScope(scope);
  if (scope.startsWith('project:'))
    return text.access.project(projects.data.value?.find((project) => project.id === id)?.name ?? id);
  return text.access.vm(vms.data.value?.get(id)?.name ?? id);
}
