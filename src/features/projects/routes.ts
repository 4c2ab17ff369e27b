/** Projects over HTTP. */

import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Project, ResourceType } from '#contract/projects.ts';
import { createQueue } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import { page } from '#kernel/page.ts';
import { type Handlers, SYSTEM } from '#platform/feature.ts';
import { type ProjectContents, projectObject } from './contents.ts';
import type { ProjectResource, ProjectRow, Registry } from './registry.ts';

export interface ProjectRouteDependencies {
  readonly registry: Registry;
  readonly contents: ReadonlyMap<string, ProjectContents>;
  readonly finders: ReadonlyMap<ResourceType, (idOrName: string) => { readonly id: string } | null>;
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
}

export function createProjectRoutes({
  registry,
  contents,
  finders,
  clock,
  events,
}: ProjectRouteDependencies): Handlers {
  const view = (row: ProjectRow): Project => ({
    id: row.id,
    name: row.name,
    title: row.title,
    state: 'active',
    number: row.number,
    resources: [...registry.resources(row.id)],
    vms: contents.get('vms')?.count(row.id) ?? 0,
    createdAt: row.createdAt,
  });
  const find = (id: string): ProjectRow => {
    const row = registry.get(id);
    if (!row) throw new AppError('not_found', { detail: `There is no project "${id.slice(0, 80)}".` });
    return row;
  };
  const resourceOf = ({ type, id }: ProjectResource): ProjectResource => {
    const found = finders.get(type)?.(id);
    if (!found) throw new AppError('not_found', { detail: `There is no ${type} "${id.slice(0, 80)}".` });
    return { type, id: found.id };
  };
  const requireFreeName = (name: string, exceptId: string | null) => {
    const holder = registry.get(name);
    if (holder && holder.id !== exceptId)
      throw new AppError('already_exists', { detail: `There is a project "${name}" already.` });
  };

  /** Two that are made at once must not get the same number. */
  const oneByOne = createQueue();

  return {
    'GET /projects': ({ query, may }) => {
      const wanted = query.q?.toLowerCase() ?? '';
      const seen = registry
        .all()
        .filter(
          (row) =>
            may('project.read', projectObject(row)) && `${row.name} ${row.title ?? ''}`.toLowerCase().includes(wanted),
        );
      return page(seen, query, view);
    },
    'GET /projects/{id}': ({ params }) => view(find(params.id)),
    'POST /projects': ({ body }) =>
      oneByOne(async () => {
        requireFreeName(body.name, null);
        const number = registry.freeNumber((one) =>
          [...contents.values()].some((content) => content.isNumberUsed?.(one) === true),
        );
        if (number === null) throw new AppError('no_project_numbers');
        const created = clock.now();
        const id = newId('prj', created.getTime());
        await registry.insert(
          { id, name: body.name, title: body.title ?? null, number, createdAt: created.toISOString() },
          body.resources.map(resourceOf),
        );
        events.emit('project.changed', { id });
        return view(find(id));
      }),
    'PATCH /projects/{id}': async ({ params, body, require }) => {
      const row = find(params.id);
      if (body.name !== undefined && body.name !== row.name) {
        if (row.id === DEFAULT_PROJECT) throw new AppError('default_project');
        requireFreeName(body.name, row.id);
      }
      const held = new Set(registry.resources(row.id).map(({ type, id }) => `${type} ${id}`));
      // It belongs to the system or to another project: who manages this one alone may give it back, not take it.
      if (body.resources?.some(({ type, id }) => !held.has(`${type} ${id}`)))
        require('project.manage', { ...SYSTEM, name: 'the whole system' });
      const resources = body.resources?.map(resourceOf) ?? null;
      const title = body.title === undefined ? row.title : body.title;
      await registry.update(row.id, { name: body.name ?? row.name, title }, resources);
      events.emit('project.changed', { id: row.id });
      return view(find(row.id));
    },
    'DELETE /projects/{id}': async ({ params }) => {
      const row = find(params.id);
      if (row.id === DEFAULT_PROJECT) throw new AppError('default_project');
      const left = [...contents.values()].flatMap((one) => one.remaining(row.id) ?? []);
      if (left.length > 0)
        throw new AppError('project_not_empty', { detail: `"${row.name}" still has ${left.join(', ')}.` });
      // Begun in the same breath as the question: what starts from now on finds the project closed.
      await registry.remove(row.id);
      events.emit('project.removed', { id: row.id });
    },
  };
}
