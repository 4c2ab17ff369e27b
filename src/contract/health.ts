/** Health: what is checked all the time, what was found, since when. */

import { z } from 'zod';
import { checkStatusSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam } from './define.ts';
import { operationSchema } from './operations.ts';

const itemSchema = z.object({
  name: z.string().describe('as /var, web1, sda'),
  status: checkStatusSchema,
  detail: z.string(),
});

export const healthResultSchema = z.object({
  id: z.string().describe('stable, as host.cpu'),
  number: z.int().describe('place in the list of checks'),
  title: z.string(),
  status: checkStatusSchema,
  evidence: z.string().describe('what was found'),
  hint: z.string().nullable().describe('what to do; null when nothing needs doing'),
  items: z.array(itemSchema).describe('what is not ok, the worst first; twenty at most'),
  since: timeSchema.describe('of the status'),
  checkedAt: timeSchema,
  everySeconds: z.int(),
});
export type HealthResult = z.infer<typeof healthResultSchema>;
export type HealthItem = HealthResult['items'][number];

export const healthSchema = z.object({
  status: checkStatusSchema.describe('the worst of all; unknown when nothing was checked'),
  results: z.array(healthResultSchema).describe('of the checks that concern this machine'),
});
export type Health = z.infer<typeof healthSchema>;

export const healthDetailSchema = healthResultSchema.extend({
  meaning: z.string(),
  limits: z.array(
    z.object({
      name: z.string(),
      of: z.string(),
      unit: z.string(),
      side: z.enum(['above', 'below']),
      warn: z.number().nullable(),
      fail: z.number().nullable(),
    }),
  ),
  history: z
    .array(z.object({ at: timeSchema, status: checkStatusSchema, evidence: z.string() }))
    .describe('changes of the status, newest first'),
});
export type HealthDetail = z.infer<typeof healthDetailSchema>;

/** A status is another one than before; null = the check does not concern this machine any more, or did not before. */
export interface HealthChange {
  readonly id: string;
  readonly title: string;
  readonly status: z.infer<typeof checkStatusSchema> | null;
  readonly was: z.infer<typeof checkStatusSchema> | null;
}

export const supportRoutes = defineRoutes({
  'GET /support/bundle': {
    summary: 'What somebody who helps needs to know, without secrets (tar.gz)',
    permission: 'host.configure',
    raw: 'bytes',
  },
});

export const healthRoutes = defineRoutes({
  'GET /health': { summary: 'What the health checks found', permission: 'host.read', response: healthSchema },
  'GET /health/{id}': {
    summary: 'One health check with its limits and the changes of its status',
    permission: 'host.read',
    params: idParam('as host.cpu'),
    response: healthDetailSchema,
  },
  'POST /health/run': {
    summary: 'Run all health checks now',
    permission: 'host.configure',
    response: operationSchema,
    status: 202,
  },
});
