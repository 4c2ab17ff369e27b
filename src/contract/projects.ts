/** Projects: a tenant's VMs, images, and the networks and pools it may use. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { nameSchema, textSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';

export const projectErrors = defineErrors({
  project_not_empty: {
    status: 409,
    title: 'The project still has something in it',
    hint: 'Delete, purge or move its VMs and images first.',
  },
  default_project: {
    status: 409,
    title: 'The default project cannot be deleted or renamed',
    hint: 'It holds what belongs to no other project.',
  },
  no_project_numbers: {
    status: 409,
    title: 'There are no more project numbers',
    hint: 'Delete projects that are no longer needed.',
  },
});

/** What a project may use of the system's own. */
export const RESOURCE_TYPES = ['network', 'pool', 'image'] as const;
export type ResourceType = (typeof RESOURCE_TYPES)[number];

export const projectSchema = z.object({
  id: z.string(),
  name: z.string(),
  title: z.string().nullable(),
  state: z.literal('active'),
  number: z
    .int()
    .describe('k in the libvirt names p<k>-NAME of its VMs; 0 = the default project, whose names have no prefix'),
  resources: z
    .array(z.object({ type: z.enum(RESOURCE_TYPES), id: z.string() }))
    .describe('networks, pools and images of the system that it may use'),
  vms: z.int(),
  createdAt: timeSchema,
});
export type Project = z.infer<typeof projectSchema>;

const resourcesSchema = z
  .array(z.strictObject({ type: z.enum(RESOURCE_TYPES), id: z.string().min(1).max(256).describe('id or name') }))
  .max(1000);

const onProject = { params: idParam('id or name'), object: { type: 'project', param: 'id' } } as const;

export const projectRoutes = defineRoutes({
  'GET /projects': {
    summary: 'List projects',
    permission: 'project.read',
    list: true,
    query: z.object({ ...pageQuery, q: z.string().max(200).optional() }),
    response: pageOf(projectSchema),
  },
  'POST /projects': {
    summary: 'Make a project',
    permission: 'project.manage',
    body: z.strictObject({
      name: nameSchema,
      title: textSchema(120).optional(),
      resources: resourcesSchema.default([]).describe('networks, pools and images of the system that it may use'),
    }),
    response: projectSchema,
    status: 201,
  },
  'GET /projects/{id}': {
    summary: 'Show a project',
    permission: 'project.read',
    ...onProject,
    response: projectSchema,
  },
  'PATCH /projects/{id}': {
    summary: 'Rename a project, or set what it may use of the system',
    permission: 'project.manage',
    ...onProject,
    body: z.strictObject({
      name: nameSchema.optional(),
      title: textSchema(120).nullable().optional(),
      resources: resourcesSchema.optional().describe('replaces the whole list'),
    }),
    response: projectSchema,
  },
  'DELETE /projects/{id}': {
    summary: 'Delete an empty project with its grants',
    permission: 'project.manage',
    stepUp: true,
    ...onProject,
  },
});
