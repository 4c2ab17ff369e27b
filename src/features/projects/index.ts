/** Projects: a tenant's VMs and images, and the networks and pools it may use.
 *  Tables: project, project_resource. Events out: project.changed, project.removed. Permissions: project.read, project.manage.
 *  Guide: docs/guides/projects.md */

import { projectErrors, type ResourceType } from '#contract/projects.ts';
import { defineFeature } from '#platform/feature.ts';
import { type ProjectContents, projectObject } from './contents.ts';
import { createRegistry, type Registry, registryMigration } from './registry.ts';
import { createProjectRoutes } from './routes.ts';

export { type ProjectContents, projectObject } from './contents.ts';
export { isForProject, isUsableIn, type May } from './usable.ts';

export interface ProjectsApi extends Pick<Registry, 'all' | 'get' | 'isOpen' | 'usersOf' | 'ofDomain' | 'domainName'> {
  /** Told once by each slice that has things of projects; `vms` is the one that counts VMs. */
  contains(what: string, contents: ProjectContents): void;
  /** How a slice finds what `resources` may name. */
  findResourcesBy(type: ResourceType, find: (idOrName: string) => { readonly id: string } | null): void;
}

export const projects = defineFeature<ProjectsApi>({
  name: 'projects',
  migrations: [registryMigration],
  errors: projectErrors,
  setup({ db, clock, events }) {
    const registry = createRegistry(db);
    const contents = new Map<string, ProjectContents>();
    const finders = new Map<ResourceType, (idOrName: string) => { readonly id: string } | null>();
    return {
      api: {
        all: registry.all,
        get: registry.get,
        isOpen: registry.isOpen,
        usersOf: registry.usersOf,
        ofDomain: registry.ofDomain,
        domainName: registry.domainName,
        contains: (what, one) => void contents.set(what, one),
        findResourcesBy: (type, find) => void finders.set(type, find),
      },
      handlers: createProjectRoutes({ registry, contents, finders, clock, events }),
      resolvers: {
        project(idOrName) {
          const row = registry.get(idOrName);
          return row ? projectObject(row) : null;
        },
      },
      start: registry.load,
    };
  },
});
