/** Copies of repositories at other places: when they are made, what stays there, and how they stand. */

import { z } from 'zod';
import { timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { operationSchema } from './operations.ts';
import { retentionSchema, timeZoneSchema } from './protection.ts';

const copyFields = {
  source: z.string().max(100).describe('id or name of the repository that is copied'),
  isEnabled: z.boolean().describe('false = it is copied only when somebody asks for it'),
  retention: retentionSchema
    .nullable()
    .describe('what stays there, of each VM; null = everything that was ever copied'),
  timeZone: timeZoneSchema.describe('in which days of retention begin'),
  bytesPerSecond: z.int().min(1024).nullable().describe('sent and read back together; null = as fast as it goes'),
  takesStates: z
    .boolean()
    .describe('the states of hosts in the repository are copied too, and stay as long as they do in repositories'),
};

export const backupCopySchema = z.object({
  repositoryId: z.string(),
  repositoryName: z.string(),
  sourceId: z.string().nullable().describe('null = the repository was forgotten'),
  sourceName: z.string().nullable(),
  isEnabled: z.boolean(),
  retention: retentionSchema.nullable(),
  timeZone: z.string(),
  bytesPerSecond: z.number().nullable(),
  takesStates: z.boolean(),
  state: z
    .enum(['never', 'running', 'current', 'behind', 'failed'])
    .describe('behind = restore points or states are missing there'),
  points: z.int().describe('restore points of VMs that are there'),
  missing: z.int().describe('restore points of the repository that are not there and should be'),
  missingSince: timeSchema.nullable().describe('the moment of the oldest of those; null = none is missing'),
  newestAt: timeSchema.nullable().describe('the moment of the newest restore point that is there'),
  states: z.int().describe('states of hosts that are there'),
  missingStates: z.int().describe('states in the repository that are not there and should be'),
  newestStateAt: timeSchema.nullable().describe('when the newest state that is there was made'),
  lastAt: timeSchema.nullable().describe('when the last copy ended'),
  succeededAt: timeSchema.nullable(),
  nextAt: timeSchema
    .nullable()
    .describe('when it goes on by itself; null = after the next backup, or only when somebody asks for it'),
  problem: z.string().nullable().describe('why the last copy failed, for people'),
  lockedPoints: z.int().describe('restore points and states that were to go, and that the place keeps for now'),
});
export type BackupCopy = z.infer<typeof backupCopySchema>;

const repository = { params: idParam('id or name'), object: { type: 'repository', param: 'id' } } as const;

export const backupCopyRoutes = defineRoutes({
  'GET /backup-copies': {
    summary: 'List copies of repositories, and how they stand',
    permission: 'backup.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(backupCopySchema),
  },
  'GET /repositories/{id}/copy': {
    summary: 'How a copy stands',
    permission: 'backup.read',
    ...repository,
    response: backupCopySchema,
  },
  'PUT /repositories/{id}/copy': {
    summary: 'Make a repository the copy of another one, or change how it is kept',
    permission: 'backup.configure',
    ...repository,
    body: z.strictObject({
      ...copyFields,
      isEnabled: copyFields.isEnabled.default(true),
      retention: copyFields.retention.default(null),
      timeZone: copyFields.timeZone.default('UTC'),
      bytesPerSecond: copyFields.bytesPerSecond.default(null),
      takesStates: copyFields.takesStates.default(true),
    }),
    response: backupCopySchema,
  },
  'POST /repositories/{id}/copy': {
    summary: 'Copy now what is missing there',
    permission: 'backup.run',
    ...repository,
    status: 202,
    response: operationSchema,
  },
});
