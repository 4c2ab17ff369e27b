/** The projects that the user sees, and what VMs of each may be made of. What is shown by it is a help; the daemon decides. */

import { computed } from '@preact/signals';
import type { Image } from '#contract/images.ts';
import type { Network } from '#contract/networks.ts';
import type { Project } from '#contract/projects.ts';
import { DEFAULT_PROJECT } from '#kernel/names.ts';
import { api } from './api.ts';
import { createResource, readAllPages } from './collection.ts';

export const projects = createResource(
  () => readAllPages((cursor) => api('GET /projects', { query: { cursor } })),
  ['project.changed', 'project.removed', 'access.changed'],
);

/** Whether a name alone may not tell whose a thing is. */
export const areSeveralProjects = computed(() => (projects.data.value?.length ?? 0) > 1);

export function projectName(id: string): string {
  return projects.data.value?.find((project) => project.id === id)?.name ?? id;
}

export function isImageOf(image: Image, project: Project | null): boolean {
  return project === null || image.isShared || image.project === project.id || isGiven(project, 'image', image.id);
}

/** The default project may use every network; the NAT network can be given by its name. */
export function isNetworkOf(network: Pick<Network, 'id' | 'name'>, project: Project | null): boolean {
  return (
    project === null ||
    project.id === DEFAULT_PROJECT ||
    isGiven(project, 'network', network.id) ||
    (network.name === 'default' && isGiven(project, 'network', 'default'))
  );
}

function isGiven(project: Project, type: Project['resources'][number]['type'], id: string): boolean {
  return project.resources.some((resource) => resource.type === type && resource.id === id);
}
