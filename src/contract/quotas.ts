/** Quotas and accounting of projects: what may be used at once, and what was used in a month. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { defineRoutes, idParam } from './define.ts';
import { QUOTA_RESOURCES } from './quota-facts.ts';

export const quotaResourceSchema = z.enum(QUOTA_RESOURCES);

/** Bytes of 8 PiB are the largest whole number that every JSON reader keeps exact. */
const limitSchema = z.int().min(0).nullable().describe('null = unlimited, 0 = nothing');

export const quotaSchema = z.object({
  resource: quotaResourceSchema,
  unit: z.enum(['count', 'bytes']),
  limit: limitSchema,
  used: z.int().nonnegative().describe('with what open operations have reserved'),
});
export type Quota = z.infer<typeof quotaSchema>;

export const quotaLimitsSchema = z
  .strictObject({
    vms: limitSchema,
    vcpus: limitSchema,
    memory: limitSchema,
    disk: limitSchema,
    snapshots: limitSchema,
    backups: limitSchema,
    images: limitSchema,
    networks: limitSchema,
  })
  .partial()
  .refine((limits) => Object.keys(limits).length > 0, 'name at least one resource');
export type QuotaLimits = z.infer<typeof quotaLimitsSchema>;

export const monthSchema = z
  .string()
  .regex(/^\d{4}-(0[1-9]|1[0-2])$/, 'use a month as 2026-11')
  .describe('a month of UTC, as 2026-11');

const amounts = {
  vcpuHours: z.number().describe('vCPUs of running VMs × hours'),
  memoryGibHours: z.number().describe('GiB of memory of running VMs × hours'),
  diskGibHours: z.number().describe('GiB of disks × hours, whether the VM runs or not'),
  backupGibHours: z.number().describe('GiB of backups × hours'),
  cost: z.number().nullable().describe('by the price list of the configuration; null without one'),
};

export const usageAmountsSchema = z.object(amounts);
export type UsageAmounts = z.infer<typeof usageAmountsSchema>;

export const monthUsageSchema = z.object({
  month: z.string(),
  isRunning: z.boolean().describe('the month is not over'),
  total: usageAmountsSchema,
  users: z.array(
    z.object({
      user: z.string().nullable().describe('who created the VMs; null = they were not made here'),
      ...amounts,
    }),
  ),
});
export type MonthUsage = z.infer<typeof monthUsageSchema>;

export const projectUsageSchema = z.object({
  projectId: z.string(),
  project: z.string(),
  currency: z.string().nullable(),
  months: z.array(monthUsageSchema).describe('newest first'),
});
export type ProjectUsage = z.infer<typeof projectUsageSchema>;

export const quotaErrors = defineErrors({
  quota_exceeded: {
    status: 409,
    title: 'The project has not enough of its quota left',
    hint: 'Delete what is not needed any more, or ask an administrator for a higher limit (`hv quota set`).',
  },
});

const project = idParam('id or name of the project');
const usageQuery = z.object({
  month: monthSchema.optional().describe('only this month; otherwise every month of the last year'),
});

export const quotaRoutes = defineRoutes({
  'GET /projects/{id}/quotas': {
    summary: 'Limits of a project and what of them is used',
    permission: 'project.read',
    object: { type: 'project', param: 'id' },
    params: project,
    response: z.object({ projectId: z.string(), project: z.string(), quotas: z.array(quotaSchema) }),
  },
  'PATCH /projects/{id}/quotas': {
    summary: 'Change limits, with the right on the whole system; one below what is used refuses growth only',
    permission: 'project.manage',
    object: { type: 'project', param: 'id' },
    params: project,
    body: z.strictObject({ limits: quotaLimitsSchema }),
    response: z.object({ projectId: z.string(), project: z.string(), quotas: z.array(quotaSchema) }),
  },
  'GET /projects/{id}/usage': {
    summary: 'What a project used, by month and user',
    permission: 'project.read',
    object: { type: 'project', param: 'id' },
    params: project,
    query: usageQuery,
    response: projectUsageSchema,
  },
  'GET /projects/{id}/usage.csv': {
    summary: 'The same as a table for spreadsheets',
    permission: 'project.read',
    object: { type: 'project', param: 'id' },
    params: project,
    query: usageQuery,
    raw: 'bytes',
  },
});
