/** What the journal keeps of a backup, and what its steps remember for each other: all of it survives a crash. */

import { z } from 'zod';

export const runOrderSchema = z.object({
  vmId: z.string(),
  name: z.string(),
  /** Id of the project that the VM belongs to. */
  project: z.string(),
  repositoryId: z.string(),
  isFull: z.boolean(),
  scrubDays: z.number().nullable().default(null),
});
export type RunOrder = z.infer<typeof runOrderSchema>;

const plannedDiskSchema = z.object({
  target: z.string(),
  serial: z.string().nullable(),
  format: z.string(),
  source: z.string(),
  sizeBytes: z.number(),
  mode: z.enum(['incremental', 'full']),
  reason: z.string().nullable(),
  parentPointId: z.string().nullable(),
  since: z.string().nullable(),
  isMarked: z.boolean(),
});

/** The plan as it was before the beginning; what libvirt then made of it is in `begunSchema`. */
export const planSchema = z.object({
  disks: z.array(plannedDiskSchema).readonly(),
  skipped: z.array(z.object({ target: z.string(), device: z.string(), reason: z.string() })).readonly(),
  warnings: z.array(z.string()).readonly(),
});

/** How the VM is read. `running`: it goes on. `paused`: it was off and was started without a step of its guest. `files`: it is off and
 *  cannot be started, so its files are read. `unchanged`: it is off as at its last backup, and nothing is read. */
export const WAYS = ['running', 'paused', 'files', 'unchanged'] as const;
export type Way = (typeof WAYS)[number];
export const waySchema = z.enum(WAYS);

export const begunSchema = z.object({
  plan: planSchema,
  startedAt: z.string(),
  pointInTime: z.string(),
  frozenMs: z.number().nullable(),
  consistency: z.enum(['agent', 'crash', 'offline']),
  warnings: z.array(z.string()),
});
export type Begun = z.infer<typeof begunSchema>;

/** Keys of what is remembered. */
export const REMEMBERED = {
  plan: 'plan',
  way: 'way',
  wasStarted: 'was-started',
  begun: 'begun',
  point: 'point',
} as const;
