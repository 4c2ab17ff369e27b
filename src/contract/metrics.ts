/** Figures: what is measured, its newest values, its history, and how long the space will last. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { timeSchema } from './common.ts';
import { defineRoutes } from './define.ts';
import { ENTITY_KINDS } from './metric-catalogue.ts';
import { PUSH_KINDS } from './push-config.ts';

export const MAX_POINTS = 3000;
export const MAX_METRICS = 20;

export const metricsErrors = defineErrors({
  metrics_budget: {
    status: 422,
    title: 'The question is too large',
    hint: 'Ask for a shorter time, fewer figures, or fewer points.',
  },
  metrics_not_served: {
    status: 403,
    title: '/metrics is not served on the network',
    hint: 'Write "metrics": { "overNetwork": true } into config.json and restart hyperd, or fetch it from admin.sock on the machine itself.',
  },
});

const kindSchema = z.enum(ENTITY_KINDS);

const TEXT = 'a date as 2026-11-26T10:00:00Z, or a time ago as 6h';

/** Query fields of a span of time. */
const span = {
  from: z.string().max(40).default('1h').describe(`beginning: ${TEXT}`),
  to: z.string().max(40).default('0s').describe(`end: ${TEXT}`),
};
const entity = z
  .string()
  .max(300)
  .optional()
  .describe('host, vm (all VMs), vm:NAME or vm:ID; absent = all that one may see');

export const metricSchema = z.object({
  name: z.string(),
  dimension: z.enum([
    'ratio',
    'bytes',
    'bytes_per_second',
    'per_second',
    'seconds',
    'number',
    'count',
    'bool',
    'enum',
    'timestamp',
    'celsius',
  ]),
  kinds: z.array(kindSchema),
  periodSeconds: z.int().describe('how often it is measured; 0 = told when it changes'),
  decimals: z.int(),
  values: z.array(z.string()).nullable().describe('names of the numbers of an enum'),
  help: z.string(),
});
export type Metric = z.infer<typeof metricSchema>;

/** What a figure belongs to. */
const entitySchema = z.object({
  owner: z.enum(['host', 'vm']),
  id: z.string().describe('of the host or the VM'),
  name: z.string().describe('of the host or the VM; its id when it does not exist any more'),
  project: z.string().nullable(),
  kind: kindSchema,
  sub: z
    .string()
    .describe('which disk, card, mount point …; empty for the VM or host itself. Comes from guests: show as text'),
});
export type MetricEntity = z.infer<typeof entitySchema>;

export const latestFigureSchema = entitySchema.extend({
  metric: z.string(),
  value: z.number(),
  state: z.string().nullable().describe('name of the value of an enum'),
  at: timeSchema,
  ageSeconds: z.number(),
});
export type LatestFigure = z.infer<typeof latestFigureSchema>;

const column = z.array(z.number().nullable()).describe('null = not measured');

export const metricSeriesSchema = entitySchema.extend({
  metric: z.string(),
  atMs: z.array(z.number()).describe('beginning of each point, milliseconds since 1970'),
  min: column,
  avg: column.describe('mean; of an enum the number of the state that held longest'),
  max: column,
  stateSeconds: z
    .record(z.string(), z.number())
    .nullable()
    .describe('of an enum: how long each state was seen in the whole span'),
});
export type MetricSeries = z.infer<typeof metricSeriesSchema>;

export const metricRangeSchema = z.object({
  from: timeSchema,
  to: timeSchema,
  stepMs: z.int().describe('time of one point'),
  tier: z
    .enum(['raw', '5m', '1h'])
    .describe('where the points come from: samples, or what five minutes or an hour came to'),
  damagedBlocks: z.int().describe('parts of the history that could not be read since hyperd started'),
  series: z.array(metricSeriesSchema),
});
export type MetricRange = z.infer<typeof metricRangeSchema>;

export const topSchema = z.object({
  metric: z.string(),
  items: z.array(entitySchema.extend({ value: z.number(), recent: z.array(z.number().nullable()) })),
});
export type Top = z.infer<typeof topSchema>;

export const capacityItemSchema = entitySchema.extend({
  sizeBytes: z.number().nullable(),
  usedBytes: z.number(),
  usedRatio: z.number().nullable(),
  days: z.int().describe('days of history that the forecast is made from'),
  outlook: z
    .enum(['too_little_data', 'no_trend', 'shrinking', 'filling'])
    .describe('no_trend = the range of the slope holds zero'),
  bytesPerDay: z.number().nullable().describe('median of the slopes'),
  fullInDays: z
    .object({ soonest: z.number(), latest: z.number().nullable() })
    .nullable()
    .describe('from the quartiles of the slopes; latest null = more than five years'),
  in30DaysRatio: z.number().nullable(),
});
export type CapacityItem = z.infer<typeof capacityItemSchema>;

export const pushStatusSchema = z.object({
  name: z.string(),
  kind: z.enum(PUSH_KINDS),
  address: z.string().describe('without its query'),
  state: z.enum(['waiting', 'ok', 'failing']).describe('waiting = nothing was sent yet'),
  since: timeSchema.nullable().describe('of failing'),
  queuedTicks: z.int().describe('measurements that wait to be sent; sixty at most'),
  droppedTicks: z.int().describe('measurements that were given up since the start'),
  sentSamples: z.int().describe('since the start'),
  lastSentAt: timeSchema.nullable(),
  error: z.string().nullable().describe('why it fails. Holds words of the target: show as text'),
});
export type PushStatus = z.infer<typeof pushStatusSchema>;

const rangeQuery = z.object({
  metric: z.string().min(1).max(1000).describe('one figure, or several separated by commas'),
  entity,
  kind: kindSchema.optional().describe('only figures of this kind of thing'),
  sub: z.string().max(255).optional().describe('only this disk, card, mount point …'),
  ...span,
  points: z.coerce.number().int().min(1).max(MAX_POINTS).default(300).describe('how many at most'),
});

const seen = { permission: 'metrics.read', list: true } as const;

export const metricRoutes = defineRoutes({
  'GET /metrics/catalogue': {
    ...seen,
    summary: 'Every figure that is kept',
    response: z.object({ items: z.array(metricSchema) }),
  },
  'GET /metrics/latest': {
    ...seen,
    summary: 'The newest figures',
    query: z.object({
      entity,
      metric: z.string().max(1000).optional().describe('only these, separated by commas'),
      kind: kindSchema.optional(),
    }),
    response: z.object({ items: z.array(latestFigureSchema) }),
  },
  'GET /metrics/range': {
    ...seen,
    summary: 'The history of figures, as points of a graph',
    query: rangeQuery,
    response: metricRangeSchema,
  },
  'GET /metrics/range.csv': {
    ...seen,
    summary: 'The same as a table for spreadsheets',
    query: rangeQuery,
    raw: 'bytes',
  },
  'GET /metrics/overview': {
    ...seen,
    summary: 'One figure of all VMs that one may see',
    query: z.object({
      metric: z.string().min(1).max(100).default('cpu_usage'),
      ...span,
      points: z.coerce.number().int().min(1).max(MAX_POINTS).default(60),
    }),
    response: metricRangeSchema,
  },
  'GET /metrics/top': {
    ...seen,
    summary: 'Who has the most of a figure now',
    query: z.object({
      metric: z.string().min(1).max(100).default('cpu_usage'),
      limit: z.coerce.number().int().min(1).max(1000).default(10),
    }),
    response: topSchema,
  },
  'GET /metrics/targets': {
    permission: 'metrics.read',
    summary: 'Where figures are sent, and how that goes',
    response: z.object({ items: z.array(pushStatusSchema) }),
  },
  'GET /metrics/capacity': {
    ...seen,
    summary: 'How long the space of pools and file systems will last',
    response: z.object({ items: z.array(capacityItemSchema) }),
  },
});
