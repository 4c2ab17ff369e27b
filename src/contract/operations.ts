/** Operations: long work with an id, steps and a result. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';

export const operationStateSchema = z.enum([
  'pending',
  'running',
  'compensating',
  'done',
  'failed',
  'cancelled',
  'attention',
]);
export type OperationState = z.infer<typeof operationStateSchema>;

/** States that do not change any more. `attention` is not among them: it waits for a person. */
export const FINAL_STATES: readonly OperationState[] = ['done', 'failed', 'cancelled'];

export const operationErrors = defineErrors({
  idempotency_key_reused: {
    status: 409,
    title: 'This idempotency key was used for another request',
    hint: 'Use a new key for a new request; repeat the same body to repeat the old one.',
  },
  operation_over: {
    status: 409,
    title: 'The operation is over',
    hint: 'Nothing is left to cancel; `hv op show` tells how it ended.',
  },
  operation_not_waiting: {
    status: 409,
    title: 'The operation does not wait for a person',
    hint: 'Only one that could not be undone can be tried again; `hv op show` tells how this one stands.',
  },
  operation_not_failed: {
    status: 409,
    title: 'The operation did not fail',
    hint: 'Only a failed operation can be dismissed; `hv op show` tells how this one stands.',
  },
  interrupted: {
    status: 503,
    title: 'The operation was interrupted',
    hint: 'Start it again; what it had begun was undone.',
  },
  no_longer_allowed: {
    status: 403,
    title: 'The one who started it may no longer do this',
    hint: 'Ask an administrator to start it.',
  },
});

export const operationSchema = z.object({
  id: z.string(),
  kind: z.string().describe('as vm.create'),
  title: z.string().describe('what it does, for people: Create web1'),
  state: operationStateSchema,
  actor: z.string(),
  objectType: z.string().nullable(),
  objectId: z.string().nullable(),
  objectName: z.string().nullable(),
  vmId: z
    .string()
    .nullable()
    .describe('UUID of the VM that it is about, also where it works on something else, as the proof of a backup'),
  project: z.string().nullable().describe('whose members may see it; null = those who see the whole system'),
  steps: z.array(
    z.object({
      name: z.string(),
      title: z.string(),
      state: z.enum(['pending', 'running', 'done', 'skipped', 'failed', 'undone']),
    }),
  ),
  progress: z
    .object({
      ratio: z.number().min(0).max(1).nullable(),
      doneBytes: z.number().nullable(),
      totalBytes: z.number().nullable(),
      bytesPerSecond: z.number().nullable(),
      note: z.string().nullable(),
    })
    .nullable()
    .describe('of the running step; ratio is null when the total is not known'),
  canCancel: z.boolean(),
  isDismissed: z.boolean().describe('somebody took note of its failure; it no longer counts as a problem'),
  error: z.object({ code: z.string(), title: z.string(), detail: z.string(), hint: z.string() }).nullable(),
  result: z.unknown().nullable(),
  createdAt: timeSchema,
  finishedAt: timeSchema.nullable(),
  requestId: z.string().nullable(),
});
export type Operation = z.infer<typeof operationSchema>;

/** What a mark on a time line needs of an operation. */
export const timelineItemSchema = operationSchema
  .pick({
    id: true,
    kind: true,
    title: true,
    state: true,
    actor: true,
    objectType: true,
    objectId: true,
    vmId: true,
    project: true,
    createdAt: true,
    finishedAt: true,
  })
  .extend({ verdict: z.string().nullable().describe('of a proof that is over: what it found') });
export type TimelineItem = z.infer<typeof timelineItemSchema>;

/** More than a screen has places for, also where the days of many VMs are shown together. */
export const MAX_TIMELINE_ITEMS = 3000;

export const operationRoutes = defineRoutes({
  'GET /operations': {
    summary: 'List operations, newest first',
    permission: 'operation.read',
    list: true,
    query: z.object({
      ...pageQuery,
      state: operationStateSchema.optional(),
      open: z.stringbool().optional().describe('only those that are not finished'),
      objectId: z.string().max(256).optional(),
      kind: z.string().max(64).optional(),
    }),
    response: pageOf(operationSchema),
  },
  'GET /operations/timeline': {
    summary: 'What was done in a span of time, newest first and without details, as for marks on graphs',
    permission: 'operation.read',
    list: true,
    query: z.object({
      vm: z.string().max(256).optional().describe('UUID: only what is about this VM'),
      from: timeSchema.optional().describe('what was over before is left out'),
      to: timeSchema.optional().describe('what began later is left out'),
    }),
    response: z.object({
      items: z.array(timelineItemSchema).describe(`the newest ${MAX_TIMELINE_ITEMS} at most`),
      total: z.int().describe('how many there are'),
    }),
  },
  'GET /operations/{id}': {
    summary: 'Show an operation',
    permission: 'operation.read',
    object: { type: 'operation', param: 'id' },
    params: idParam('operation id'),
    query: z.object({
      waitSeconds: z.coerce
        .number()
        .int()
        .min(0)
        .max(30)
        .optional()
        .describe('answer when it is finished, or after so long'),
    }),
    response: operationSchema,
  },
  'POST /operations/{id}/cancel': {
    summary: 'Ask an operation to stop at the next safe point and undo itself',
    permission: 'operation.cancel',
    object: { type: 'operation', param: 'id' },
    params: idParam('operation id'),
    response: operationSchema,
  },
  'POST /operations/{id}/retry': {
    summary: 'Try again to undo an operation that needs attention',
    permission: 'operation.cancel',
    object: { type: 'operation', param: 'id' },
    params: idParam('operation id'),
    response: operationSchema,
  },
  'POST /operations/{id}/dismiss': {
    summary: 'Take note of a failure, so that the overview no longer names it',
    permission: 'operation.cancel',
    object: { type: 'operation', param: 'id' },
    params: idParam('operation id'),
    response: operationSchema,
  },
});
