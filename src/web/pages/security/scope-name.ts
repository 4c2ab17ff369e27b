/** A scope in words, from the projects and VMs that are known here. */

import { projects } from '../../state/access.ts';
import { vms } from '../../state/vms.ts';
import { text } from '../../text.ts';

/** @returns null for `all` */
export function scopeName(scope: string): string | null {
  if (scope === 'all') return null;
  const id = scope.slice(scope.indexOf(':') + 1);
  if (scope.startsWith('project:'))
    return text.access.project(projects.data.value?.find((project) => project.id === id)?.name ?? id);
  return text.access.vm(vms.data.value?.get(id)?.name ?? id);
}
