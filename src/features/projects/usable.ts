/** Whether a thing may be given to a VM of a project. Two questions at once: may the project use it, and may the asker there? Rights
 *  that he holds in another project do not count: else he could carry one tenant's network into another. */

import type { Permission } from '#contract/permissions.ts';
import type { ObjectRef } from '#platform/feature.ts';

export type May = (permission: Permission, object: ObjectRef) => boolean;

/** Whether VMs of the project may use it, whoever asks. */
export function isForProject(object: ObjectRef, projectId: string): boolean {
  const { project, sharedWith } = object;
  return project === projectId || sharedWith === 'all' || sharedWith?.includes(projectId) === true;
}

export function isUsableIn(projectId: string, permission: Permission, object: ObjectRef, may: May): boolean {
  if (!isForProject(object, projectId)) return false;
  return may(permission, object.project === projectId ? object : { ...object, sharedWith: [projectId] });
}
