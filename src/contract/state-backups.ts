/** The state of this host in repositories: made, listed, brought back. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { placeSchema, placeSecretsSchema } from './backups.ts';
import { timeSchema } from './common.ts';
import { defineRoutes } from './define.ts';
import { operationSchema } from './operations.ts';

export const stateBackupErrors = defineErrors({
  state_backup_incomplete: {
    status: 503,
    title: 'The state of this host is not in all repositories',
    hint: 'Mend what the message names, then `hv system backup` again; the other repositories have it.',
  },
  state_not_found: {
    status: 404,
    title: 'There is no state of a host to bring back',
    hint: 'Look into another repository or copy. VMs come back without it: `hv repo create NAME FOLDER --existing` or `hv repo add NAME PLACE --existing`, then `hv repo scan NAME`.',
  },
  state_choice_needed: {
    status: 409,
    title: 'The states of several hosts are here',
    hint: 'Choose one: add `--point POINT`.',
  },
  state_damaged: {
    status: 409,
    title: 'The state is damaged',
    hint: 'Bring an earlier one back: add `--point POINT`.',
  },
  state_too_new: {
    status: 409,
    title: 'The state was made by a newer version of this program',
    hint: 'Install that version or a later one on this machine, then restore.',
  },
  state_unproven: {
    status: 409,
    title: 'Nothing proves that this state is one of yours',
    hint: 'Look at its administrators in the plan. When you know who wrote there, say so with --unproven.',
  },
  machine_not_empty: {
    status: 409,
    title: 'This machine has a state of its own',
    hint: 'To replace it use --force: what is here is kept aside in the state folder.',
  },
  restore_on_console: {
    status: 403,
    title: 'A state is brought back on the machine itself',
    hint: 'Run `hv system restore` there as root.',
  },
});

const countsSchema = z.object({
  users: z.int(),
  groups: z.int(),
  roles: z.int(),
  grants: z.int(),
  projects: z.int(),
  rules: z.int(),
  channels: z.int(),
  schedules: z.int(),
  repositories: z.int(),
  vms: z.int().describe('definitions of VMs'),
  restorePoints: z.int().describe('as known then; those that were made later are found by reading the repository'),
  auditRecords: z.int(),
});
export type StateCounts = z.infer<typeof countsSchema>;

const statePointSchema = z.object({
  id: z.string(),
  host: z.string().describe('name of the host that made it: show as text'),
  madeAt: timeSchema,
  isOwn: z.boolean().describe('of this installation'),
  problem: z.string().nullable(),
});
export type StatePoint = z.infer<typeof statePointSchema>;

/** What is seen of a repository that this host need not know. */
export const foundStatesSchema = z.object({
  place: z.string().describe('where it lies, for people'),
  isEncrypted: z.boolean().describe('its recovery key is needed to bring a state back'),
  points: z.array(statePointSchema).describe('newest first'),
});

export const statePlanSchema = z.object({
  point: statePointSchema,
  version: z.string().describe('of the program that made it'),
  proof: z
    .enum(['repository', 'recovery_key', 'none'])
    .describe(
      'what proves that nobody else made or changed it: the key of the repository, the recovery key of the state, or nothing',
    ),
  administrators: z.array(z.string()).describe('who may do everything afterwards'),
  comes: countsSchema,
  secrets: z
    .enum(['come', 'stay_out', 'locked'])
    .describe('keys and passwords; stay_out = they are not in it, locked = its recovery key is needed'),
  changes: z.array(z.string()).describe('what will not be as it was, for people'),
  warnings: z.array(z.string()),
  blockers: z.array(z.string()).describe('what this machine has already, for people; empty = nothing'),
  others: z.array(statePointSchema).describe('further states in this repository, newest first'),
  digest: z.string().describe('to be sent with the restore: what was planned is done, or nothing'),
});
export type StatePlan = z.infer<typeof statePlanSchema>;

const stateSource = {
  folder: z
    .string()
    .max(1000)
    .regex(/^\/[^\0]+$/, 'use an absolute path')
    .optional()
    .describe('of the repository, on this machine'),
  place: placeSchema.optional().describe('of a copy on another machine, instead of a folder'),
  secrets: placeSecretsSchema.optional().describe('that open the place'),
  recoveryKey: z
    .string()
    .max(200)
    .meta({ secret: true })
    .optional()
    .describe('of the repository when it is encrypted, of the state otherwise'),
};
const restoreSource = { ...stateSource, point: z.string().max(100).optional().describe('the newest unless given') };

const doneRestoreSchema = z.object({
  at: timeSchema,
  by: z.string(),
  point: z.string(),
  host: z.string(),
  madeAt: timeSchema,
  asideFolder: z.string().describe('below the state folder: what was here before'),
});

export const stateBackupsSchema = z.object({
  recoveryKey: z
    .enum(['none', 'unconfirmed', 'ready'])
    .describe('of the state, for repositories that are not encrypted'),
  repositories: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      isEncrypted: z.boolean(),
      lastAt: timeSchema.nullable().describe('of the newest state of this host in it'),
      problem: z.string().nullable().describe('why the last try failed, or it cannot be read'),
      points: z
        .array(
          statePointSchema.extend({ copies: z.array(z.string()).describe('names of the copies that hold it too') }),
        )
        .describe('newest first'),
    }),
  ),
  lastRestore: doneRestoreSchema.nullable(),
});
export type StateBackups = z.infer<typeof stateBackupsSchema>;

export const stateBackupRoutes = defineRoutes({
  'GET /system/state-backups': {
    summary: 'Where the state of this host is kept, and since when',
    permission: 'backup.configure',
    response: stateBackupsSchema,
  },
  'POST /system/state-backups': {
    summary: 'Write the state of this host into repositories now',
    permission: 'backup.configure',
    body: z.strictObject({
      repository: z.string().max(100).optional().describe('id or name; all unless given'),
    }),
    status: 202,
    response: operationSchema,
  },
  'POST /system/recovery-key': {
    summary:
      'Make the recovery key of the state; it seals secrets in repositories that are not encrypted once it was typed back',
    permission: 'settings.change',
    answersSecret: true,
    response: z.object({ recoveryKey: z.string().describe('shown this once') }),
  },
  'POST /system/recovery-key/confirm': {
    summary: 'Type the recovery key of the state back',
    permission: 'settings.change',
    body: z.strictObject({ recoveryKey: z.string().min(1).max(200).meta({ secret: true }) }),
    status: 204,
  },
  'POST /system/restore/states': {
    summary: 'Which states lie in a folder or at a place of copies; only on the machine itself',
    permission: 'access.manage',
    changesNothing: true,
    body: z.strictObject(stateSource),
    response: foundStatesSchema,
  },
  'POST /system/restore/plan': {
    summary: 'What bringing a state back would do; only on the machine itself',
    permission: 'access.manage',
    changesNothing: true,
    body: z.strictObject(restoreSource),
    response: statePlanSchema,
  },
  'POST /system/restore': {
    summary: 'Bring a state back and begin anew with it; only on the machine itself',
    permission: 'access.manage',
    stepUp: true,
    body: z.strictObject({
      ...restoreSource,
      digest: z.string().max(100).describe('of the plan'),
      force: z.boolean().default(false).describe('replace the state that this machine has'),
      unproven: z.boolean().default(false).describe('take a state that nothing proves'),
    }),
    status: 202,
    response: z.object({ asideFolder: z.string().describe('below the state folder: what was here before') }),
  },
});
