/** Jobs of libvirt: what it does with a VM for a while, whoever asked for it. Operations are ours; a job may be of another program. */

import { z } from 'zod';
import { uuidSchema } from './common.ts';
import { defineRoutes } from './define.ts';
import { METRICS } from './metric-catalogue.ts';

export const libvirtJobSchema = z.object({
  id: uuidSchema.describe('of the VM; it has one job at most'),
  name: z.string(),
  project: z.string(),
  kind: z.enum(METRICS.vm_libvirt_job.values).describe('none = the job is over'),
  ratio: z.number().min(0).max(1).nullable().describe('null where the job does not say'),
  doneBytes: z.number().nullable(),
  totalBytes: z.number().nullable(),
  remainingBytes: z.number().nullable(),
  elapsedMs: z.number().nullable(),
  remainingMs: z.number().nullable().describe('as QEMU reckons'),
  operationId: z.string().nullable().describe('the operation that works on the VM; null = another program asked'),
});
export type LibvirtJob = z.infer<typeof libvirtJobSchema>;

export const libvirtJobRoutes = defineRoutes({
  'GET /jobs': {
    summary: 'What libvirt itself does with VMs now: saves, dumps, migrations, backups',
    permission: 'vm.read',
    list: true,
    response: z.object({ items: z.array(libvirtJobSchema) }),
  },
});
