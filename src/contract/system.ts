/** The host, preflight, status and sign-in. */

import { z } from 'zod';
import { checkStatusSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf } from './define.ts';
import { operationSchema } from './operations.ts';

export const checkSchema = z.object({
  id: z.string().describe('stable, as kvm.proof'),
  title: z.string(),
  status: checkStatusSchema,
  detail: z.string().describe('what was found'),
  hint: z.string().nullable().describe('what to do; null when nothing needs doing'),
  durationMs: z.number(),
});
export type Check = z.infer<typeof checkSchema>;

export const preflightSchema = z.object({
  status: checkStatusSchema.describe('the worst of all; unknown when nothing was checked'),
  accel: z.enum(['kvm', 'tcg', 'none']).describe('kvm only when a micro-guest was seen to run under it'),
  checkedAt: timeSchema,
  checks: z.array(checkSchema),
});
export type Preflight = z.infer<typeof preflightSchema>;

export const hostSchema = z.object({
  id: z.string(),
  name: z.string(),
  state: z.enum(['connected', 'connecting', 'disconnected']),
  since: timeSchema.describe('of the state'),
  accel: z.enum(['kvm', 'tcg', 'none', 'unknown']),
  cpuModel: z.string().nullable(),
  cpus: z.int(),
  memoryBytes: z.number(),
  libvirtVersion: z.string().nullable(),
  qemuVersion: z.string().nullable(),
  kernel: z.string().nullable(),
  uptimeSeconds: z.number().nullable(),
  usage: z
    .object({
      cpuRatio: z.number().nullable(),
      memoryUsedBytes: z.number().nullable(),
      load1: z.number().nullable(),
      history: z
        .object({
          stepSeconds: z.number(),
          cpuRatio: z.array(z.number().nullable()),
          memoryRatio: z.array(z.number().nullable()),
        })
        .describe('the last 10 minutes, oldest first; null = not measured'),
      filesystems: z.array(
        z.object({ mount: z.string(), purpose: z.string(), sizeBytes: z.number(), usedBytes: z.number() }),
      ),
    })
    .nullable(),
});
export type Host = z.infer<typeof hostSchema>;

export const problemItemSchema = z.object({
  id: z.string(),
  severity: z.enum(['warn', 'fail']),
  title: z.string(),
  detail: z.string(),
  hint: z.string(),
  link: z.string().nullable().describe('page of the dashboard'),
});

export const overviewSchema = z.object({
  host: hostSchema.nullable().describe('null for those who may not see the host'),
  vms: z.object({
    total: z.int(),
    byState: z.record(z.string(), z.int()),
    running: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        startedAt: timeSchema.nullable(),
        cpuRatio: z.number().nullable(),
        memoryBytes: z.number(),
      }),
    ),
  }),
  operations: z.array(operationSchema).describe('the newest twenty'),
  problems: z.array(problemItemSchema),
  checkedAt: timeSchema.nullable().describe('of the last preflight; null = nothing was checked yet'),
});
export type Overview = z.infer<typeof overviewSchema>;

export const statusSchema = z.object({
  version: z.string(),
  pid: z.int(),
  startedAt: timeSchema,
  accel: z.enum(['kvm', 'tcg', 'none', 'unknown']),
  host: z.string(),
  libvirt: z.object({ state: z.enum(['connected', 'connecting', 'disconnected']), since: timeSchema, uri: z.string() }),
  vms: z.object({ total: z.int(), running: z.int() }),
  operations: z.object({ open: z.int(), attention: z.int() }),
  address: z.string().describe('of the dashboard'),
  certificateFingerprint: z.string().describe('SHA-256, as browsers show it'),
});
export type Status = z.infer<typeof statusSchema>;

export const systemRoutes = defineRoutes({
  'GET /system/status': { summary: 'What runs here', permission: 'host.read', response: statusSchema },
  'GET /system/overview': {
    summary: 'All that the first page needs, of what one may see',
    permission: 'vm.read',
    list: true,
    response: overviewSchema,
  },
  'POST /system/demo': {
    summary: 'Make and boot the hello guest on an empty machine',
    permission: 'vm.create',
    response: operationSchema.nullable(),
  },
  'GET /hosts': { summary: 'List hosts', permission: 'host.read', response: pageOf(hostSchema) },
  'GET /hosts/{id}': {
    summary: 'Show a host',
    permission: 'host.read',
    params: idParam('id or name'),
    object: { type: 'host', param: 'id' },
    response: hostSchema,
  },
  'GET /preflight': { summary: 'The last preflight', permission: 'host.read', response: preflightSchema.nullable() },
  'POST /preflight': {
    summary: 'Check the machine now',
    permission: 'host.configure',
    response: operationSchema,
    status: 202,
  },
  'GET /events': {
    summary: 'Server-sent events of what one may see; resumes by Last-Event-ID',
    permission: 'operation.read',
    list: true,
    raw: 'stream',
  },
  'GET /openapi.json': {
    summary: 'This API as OpenAPI 3.1',
    public: 'describes the interface, holds no data',
    response: z.record(z.string(), z.unknown()),
  },
});
