/** Backups: repositories, restore points, and what is made of them again. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { nameSchema, timeSchema, uuidSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { operationSchema } from './operations.ts';

export const backupErrors = defineErrors({
  point_is_protected: {
    status: 409,
    title: 'The restore point is protected',
    hint: 'Take the protection away first: `hv backup unprotect POINT`.',
  },
  backup_job_active: {
    status: 503,
    title: 'Another job works on the disks of the VM',
    hint: 'Wait for it to end; a backup of another program is never broken off.',
  },
  backup_interrupted: {
    status: 409,
    title: 'The backup was interrupted',
    hint: 'Back the VM up again: what was read already is not stored twice.',
  },
  backup_nothing_to_read: {
    status: 409,
    title: 'The VM has no disk that can be backed up',
    hint: 'Disks of networks, shared disks, drives and disks that are only read are left out; `hv vm show` lists its disks.',
  },
  backup_scratch_full: {
    status: 507,
    title: 'The guest wrote more during its backup than there is room for',
    hint: 'Free space on the file system of the state folder, or back up while the guest writes less.',
  },
  restore_point_without_disk: {
    status: 409,
    title: 'The restore point has no such disk',
    hint: '`hv backup show POINT` lists its disks, and those that were left out with the reason.',
  },
  repository_unconfirmed: {
    status: 409,
    title: 'The recovery key of the repository was not confirmed',
    hint: 'Type the key that was shown when it was made: `hv repo confirm NAME`. Without it nothing could be read after a loss of this host.',
  },
  repository_problems: {
    status: 409,
    title: 'Not all of the repository is what it was',
    hint: 'See which restore points are damaged: `hv backup list`. The next backup of each VM reads what is damaged as a whole and heals what it can.',
  },
  restore_not_finished: {
    status: 409,
    title: 'A VM still runs from a restore point',
    hint: 'Wait until its data is copied (`hv backup instant list`), or start the copying again with `hv backup instant resume NAME`.',
  },
  mount_missing: {
    status: 503,
    title: 'Nothing is mounted where the repository lies',
    hint: 'Mount the disk or share there. Until then nothing is written, so that backups do not end up on the disk of the host.',
  },
  repository_mistaken: {
    status: 409,
    title: 'Another repository lies in the folder',
    hint: 'See which disk or share is mounted there.',
  },
  repository_is_copy: {
    status: 409,
    title: 'The repository is a copy of another one',
    hint: 'Back up to the repository that it is a copy of; what is new there is copied by itself.',
  },
  repository_unreachable: {
    status: 503,
    title: 'The repository cannot be reached',
    hint: 'See that its folder is there and its disk is mounted; `hv repo show NAME` tells what is wrong.',
  },
});

const consistencySchema = z.enum(['agent', 'crash', 'offline']);
const diskModeSchema = z.enum(['incremental', 'full', 'unchanged']);

export const pointDiskSchema = z.object({
  target: z.string().describe('as vda'),
  serial: z.string().nullable(),
  format: z.string().describe('of the disk that was read: qcow2, raw'),
  sizeBytes: z.number().describe('as the guest sees it'),
  mode: diskModeSchema,
  reason: z.string().nullable().describe('why it was not incremental, for people'),
  readBytes: z.number(),
  storedBytes: z.number().describe('what it added to the repository'),
});

export const skippedDiskSchema = z.object({
  target: z.string(),
  device: z.string(),
  reason: z.string().describe('for people'),
});
export type SkippedDisk = z.infer<typeof skippedDiskSchema>;

export const restorePointSchema = z.object({
  id: z.string(),
  repositoryId: z.string(),
  repositoryName: z.string(),
  vmId: uuidSchema,
  vmName: z.string().describe('as it was called then: show as text'),
  project: z.string().describe('id of the project that owns it'),
  isVmThere: z.boolean().describe('false = the VM is not there any more'),
  state: z.enum(['good', 'bad']),
  copies: z.array(z.string()).describe('names of the copies that hold it too'),
  problem: z.string().nullable().describe('what is damaged, for people'),
  pointInTime: timeSchema,
  finishedAt: timeSchema,
  consistency: consistencySchema.describe(
    'agent = its file systems were frozen; crash = as after a power cut; offline = it was off',
  ),
  frozenMs: z.number().nullable().describe('how long its file systems were frozen; null = they were not'),
  sizeBytes: z.number().describe('of all its disks'),
  readBytes: z.number(),
  storedBytes: z.number().describe('what it added to the repository'),
  disks: z.array(pointDiskSchema),
  skipped: z.array(skippedDiskSchema),
  warnings: z.array(z.string()),
});
export type RestorePoint = z.infer<typeof restorePointSchema>;

const SAFE_PATH = /^[A-Za-z0-9._/-]+$/;

/** Where a copy lies on another machine. */
export const placeSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('sftp'),
    host: z
      .string()
      .max(253)
      .regex(/^[A-Za-z0-9.:_-]+$/, 'use a name or an address'),
    port: z.int().min(1).max(65_535).default(22),
    user: z.string().min(1).max(100),
    folder: z.string().min(1).max(1000).regex(SAFE_PATH, 'use letters, digits and . _ / -').describe('over there'),
    hostKey: z
      .string()
      .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'use a fingerprint as SHA256:…')
      .nullable()
      .default(null)
      .describe('fingerprint of the key that the host has to show; without it the answer tells the one that it shows'),
  }),
  z.strictObject({
    kind: z.literal('s3'),
    endpoint: z
      .string()
      .max(500)
      .regex(/^https?:\/\/[A-Za-z0-9.:[\]-]+$/, 'use https://HOST or https://HOST:PORT')
      .describe('as https://s3.example.org'),
    region: z
      .string()
      .max(100)
      .regex(/^[a-z0-9-]+$/, 'use a region as us-east-1')
      .default('us-east-1'),
    bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'use the name of a bucket'),
    prefix: z
      .string()
      .max(500)
      .regex(/^([A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*)?$/, 'use letters, digits and . _ / -')
      .default('')
      .describe('before all keys'),
    accessKey: z.string().min(1).max(200),
    lockDays: z
      .int()
      .min(1)
      .max(3650)
      .nullable()
      .default(null)
      .describe('by object lock nobody can delete what is copied for so long; null = no lock'),
    ca: z.string().max(65_536).nullable().default(null).describe('certificate authorities to trust (PEM)'),
  }),
]);
export type PlaceSettings = z.infer<typeof placeSchema>;

export const placeSecretsSchema = z
  .strictObject({
    password: z.string().min(1).max(1000).optional(),
    privateKey: z.string().min(1).max(32_768).optional().describe('OpenSSH or PEM'),
    passphrase: z.string().min(1).max(1000).optional().describe('of the private key'),
    secretKey: z.string().min(1).max(1000).optional().describe('of S3'),
  })
  .meta({ secret: true });
export type PlaceSecrets = z.infer<typeof placeSecretsSchema>;

export const repositorySchema = z.object({
  id: z.string(),
  name: z.string(),
  kind: z
    .enum(['folder', 'mount', 'sftp', 's3'])
    .describe('mount = a folder that counts only while a file system is mounted there'),
  place: z.string().nullable().describe('where it lies, for people; null for those who may not configure backups'),
  hostKey: z.string().nullable().describe('that an SFTP host has to show'),
  lockDays: z.int().nullable().describe('nobody can delete what is there for so long; null = no lock'),
  isCopy: z.boolean().describe('it is a copy of another repository: no VM is backed up to it'),
  folder: z.string().nullable().describe('null for those who may not configure backups, and on other machines'),
  isDefault: z.boolean(),
  isEncrypted: z.boolean(),
  compression: z.enum(['default', 'better']),
  state: z
    .enum(['ready', 'unconfirmed', 'unreachable'])
    .describe('unconfirmed = its recovery key was not typed back yet, nothing is written to it'),
  problem: z.string().nullable(),
  points: z.int().describe('restore points that the asker may not all see'),
  freeBytes: z.number().nullable(),
  createdAt: timeSchema,
  scannedAt: timeSchema.nullable().describe('when its restore points were last read from it'),
});
export type BackupRepository = z.infer<typeof repositorySchema>;

const fromSchema = z
  .string()
  .max(100)
  .optional()
  .describe('id or name of a copy to read it from; the repository of the restore point unless given');

const restoreBody = z.strictObject({
  name: nameSchema.describe('of the new VM'),
  project: z.string().max(100).optional().describe('id or name; that of the restore point unless given'),
  start: z.boolean().default(false),
  mode: z
    .enum(['copy', 'instant'])
    .default('copy')
    .describe('instant = it is started at once from the restore point, and its data is copied behind its guest'),
  from: fromSchema,
});

/** What a restore will make, before it does it. */
export const restorePlanSchema = z.object({
  name: z.string(),
  vmId: uuidSchema.nullable().describe('null = a new one'),
  vcpus: z.int(),
  memoryBytes: z.number(),
  disks: z.array(z.object({ target: z.string(), format: z.string(), sizeBytes: z.number() })),
  changes: z.array(z.string()).describe('what is not as it was, for people'),
  warnings: z.array(z.string()),
  needs: z.object({ diskBytes: z.number(), freeDiskBytes: z.number() }),
});
export type RestorePlan = z.infer<typeof restorePlanSchema>;

export const instantRestoreSchema = z.object({
  vmId: uuidSchema,
  vmName: z.string(),
  project: z.string(),
  pointId: z.string(),
  repositoryId: z.string(),
  repositoryName: z.string(),
  state: z
    .enum(['starting', 'copying', 'waiting', 'held'])
    .describe(
      'waiting = for the VM to be on, or for its restore point to be readable; held = the copying was cancelled, or cannot go on',
    ),
  copiedRatio: z.number().describe('0 to 1'),
  problem: z.string().nullable().describe('for people'),
  operationId: z.string().nullable().describe('that copies'),
  startedAt: timeSchema,
});
export type InstantRestore = z.infer<typeof instantRestoreSchema>;

const point = { params: idParam('restore point'), object: { type: 'restore-point', param: 'id' } } as const;
const repository = { params: idParam('id or name'), object: { type: 'repository', param: 'id' } } as const;
const started = { status: 202, response: operationSchema } as const;

export const backupRoutes = defineRoutes({
  'GET /repositories': {
    summary: 'List where backups lie',
    permission: 'backup.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(repositorySchema),
  },
  'POST /repositories': {
    summary: 'Make a repository in a folder, or take one over',
    permission: 'backup.configure',
    status: 201,
    answersSecret: true,
    body: z.strictObject({
      name: nameSchema,
      folder: z
        .string()
        .max(1000)
        .regex(/^\/[^\0]+$/, 'use an absolute path')
        .optional()
        .describe('on this host'),
      requiresMount: z
        .boolean()
        .default(false)
        .describe('of a folder: a file system has to be mounted at it or above it, else nothing is written'),
      place: placeSchema.optional().describe('on another machine, instead of a folder'),
      secrets: placeSecretsSchema.optional(),
      isEncrypted: z.boolean().default(false),
      compression: z.enum(['default', 'better']).default('default'),
      existing: z
        .boolean()
        .default(false)
        .describe(
          'the folder holds a repository, as that of another host: nothing is made, its restore points are read',
        ),
      recoveryKey: z
        .string()
        .max(200)
        .meta({ secret: true })
        .optional()
        .describe('of an existing repository that is encrypted'),
    }),
    response: z.object({
      repository: repositorySchema,
      recoveryKey: z
        .string()
        .nullable()
        .describe('shown this once: write it down and confirm it; null = not encrypted, or known already'),
    }),
  },
  'GET /repositories/{id}': {
    summary: 'Show a repository',
    permission: 'backup.read',
    ...repository,
    response: repositorySchema,
  },
  'PATCH /repositories/{id}': {
    summary: 'Give other credentials, or accept another host key, for a repository on another machine',
    permission: 'backup.configure',
    ...repository,
    body: z.strictObject({
      hostKey: z
        .string()
        .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'use a fingerprint as SHA256:…')
        .optional(),
      accessKey: z.string().min(1).max(200).optional(),
      secrets: placeSecretsSchema.optional().describe('those that are not named stay'),
    }),
    response: repositorySchema,
  },
  'POST /repositories/{id}/repair': {
    summary: 'Bring what is missing or damaged from another repository, as from its copy',
    permission: 'backup.configure',
    ...repository,
    body: z.strictObject({ from: z.string().max(100).describe('id or name') }),
    ...started,
  },
  'DELETE /repositories/{id}': {
    summary: 'Forget a repository; its files stay',
    permission: 'backup.configure',
    ...repository,
    status: 204,
  },
  'POST /repositories/{id}/confirm': {
    summary: 'Type the recovery key back; only then is anything written to an encrypted repository',
    permission: 'backup.configure',
    ...repository,
    body: z.strictObject({ recoveryKey: z.string().min(1).max(200).meta({ secret: true }) }),
    response: repositorySchema,
  },
  'POST /repositories/{id}/scan': {
    summary: 'Read the restore points from the repository',
    permission: 'backup.configure',
    ...repository,
    ...started,
  },
  'POST /repositories/{id}/check': {
    summary: 'Check that all is there, or with readData that every byte is what it was',
    permission: 'backup.verify',
    ...repository,
    body: z.strictObject({ readData: z.boolean().default(false) }),
    ...started,
  },
  'POST /vms/{id}/backup': {
    summary: 'Back up a VM now',
    permission: 'backup.run',
    params: idParam('UUID, or the name where it is unique'),
    object: { type: 'vm', param: 'id' },
    body: z.strictObject({
      repository: z.string().max(100).optional().describe('id or name; the default one unless given'),
      full: z.boolean().default(false).describe('read every disk as a whole'),
    }),
    ...started,
  },
  'GET /restore-points': {
    summary: 'List restore points, newest first',
    permission: 'backup.read',
    list: true,
    query: z.object({
      ...pageQuery,
      vm: z.string().max(256).optional().describe('UUID or name of a VM, also of one that is gone'),
      repository: z.string().max(100).optional().describe('id or name of a repository or copy that holds them'),
    }),
    response: pageOf(restorePointSchema),
  },
  'GET /restore-points/{id}': {
    summary: 'Show a restore point',
    permission: 'backup.read',
    ...point,
    response: restorePointSchema,
  },
  'DELETE /restore-points/{id}': {
    summary: 'Delete a restore point; what no other needs goes with the next cleaning of the repository',
    permission: 'backup.delete',
    stepUp: true,
    ...point,
    ...started,
  },
  'POST /restore-points/{id}/restore': {
    summary: 'Make a new VM of a restore point',
    permission: 'backup.restore',
    ...point,
    body: restoreBody,
    ...started,
  },
  'POST /restore-points/{id}/restore/plan': {
    summary: 'What a restore would make',
    permission: 'backup.restore',
    changesNothing: true,
    ...point,
    body: restoreBody,
    response: restorePlanSchema,
  },
  'GET /instant-restores': {
    summary: 'List VMs that run from a restore point while their data is copied',
    permission: 'backup.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(instantRestoreSchema),
  },
  'POST /vms/{id}/copy-behind': {
    summary: 'Go on copying the data of a VM that runs from a restore point',
    permission: 'backup.restore',
    params: idParam('UUID, or the name where it is unique'),
    object: { type: 'vm', param: 'id' },
    ...started,
  },
  'POST /restore-points/{id}/overwrite': {
    summary: 'Set a VM back to a restore point; it must be off, its disks of now are kept for some days',
    permission: 'backup.overwrite',
    stepUp: true,
    ...point,
    body: z.strictObject({ confirm: z.string().max(256).describe('the name of the VM'), from: fromSchema }),
    ...started,
  },
  'POST /restore-points/{id}/disk': {
    summary: 'Put a disk of a restore point into a VM that is there, as a further disk',
    permission: 'backup.restore',
    ...point,
    body: z.strictObject({
      target: z
        .string()
        .regex(/^[a-z]{2,3}[a-z0-9]{0,3}$/, 'use the target of a disk, as vda')
        .describe('of the disk in the restore point, as vda'),
      vm: uuidSchema.describe('that gets it, from its next start on'),
    }),
    ...started,
  },
  'GET /restore-points/{id}/disk': {
    summary: 'A disk of a restore point as a file',
    permission: 'backup.export',
    ...point,
    query: z.object({
      target: z
        .string()
        .regex(/^[a-z]{2,3}[a-z0-9]{0,3}$/, 'use the target of a disk, as vda')
        .describe('as vda'),
      format: z.enum(['qcow2', 'raw']).default('qcow2'),
      from: fromSchema,
    }),
    raw: 'bytes',
    takesDataOut: true,
  },
});
