/** Protection: which VMs are backed up when, what is kept of it, and how well each VM is protected. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { nameSchema, textSchema, timeSchema, uuidSchema } from './common.ts';
import { parseCron } from './cron.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { operationSchema } from './operations.ts';
import { tagsSchema } from './vms.ts';

export const protectionErrors = defineErrors({
  schedule_name_taken: {
    status: 409,
    title: 'Another schedule has this name',
    hint: 'Choose another name, or edit that one: `hv backup schedule edit NAME`.',
  },
  vms_not_backed_up: {
    status: 409,
    title: 'Not every VM was backed up',
    hint: 'The report of the run names each with its reason: `hv backup runs`. Mend the cause, then `hv backup run VM`.',
  },
  nothing_covered: {
    status: 409,
    title: 'The schedule covers no VM',
    hint: 'See with `hv backup schedule preview NAME` what it would back up, and edit what it covers.',
  },
  prune_too_large: {
    status: 409,
    title: 'Cleaning would remove a large part of the repository',
    hint: 'See what would go with `hv backup prune --dry-run`. When that is right: `hv backup prune --allow-large`.',
  },
  date_in_doubt: {
    status: 409,
    title: 'The date is in doubt',
    hint: 'See that the clock of the host is right; after a day of running everything goes on by itself.',
  },
});

/** Days of the month with a step beside days of the week mean different things to different programs. */
const isClear = (text: string): boolean => {
  const [, , days = '*', , weekdays = '*'] = text.trim().split(/\s+/);
  return days === '*' || weekdays === '*' || !(days.startsWith('*') || weekdays.startsWith('*'));
};

export const calendarSchema = z
  .string()
  .max(200)
  .refine((text) => parseCron(text) !== null && !/(^|[\s,])[^*\s,-]+\//.test(text), {
    message: 'use five fields of cron, as 0 2 * * * or 30 1 * * sun',
  })
  .refine(isClear, { message: 'list the days of the month, or leave out the days of the week' });

const isTimeZone = (name: string): boolean => {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    // That is how a zone is found to be none.
    return false;
  }
};

export const timeZoneSchema = z
  .string()
  .max(64)
  .refine(isTimeZone, { message: 'use a time zone as Europe/Berlin or UTC' });

/** How many periods that have a restore point keep their newest one; all 0 keeps everything. */
export const retentionSchema = z.strictObject({
  last: z.int().min(0).max(10_000).default(0).describe('the newest ones, whenever they were made'),
  hourly: z.int().min(0).max(1000).default(0),
  daily: z.int().min(0).max(1000).default(0),
  weekly: z.int().min(0).max(1000).default(0),
  monthly: z.int().min(0).max(1000).default(0),
  yearly: z.int().min(0).max(100).default(0),
});
export type Retention = z.infer<typeof retentionSchema>;

const exceptSchema = z.array(uuidSchema).max(1000).default([]).describe('ids of VMs that are left out');

export const targetsSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all'), except: exceptSchema }),
  z.strictObject({
    kind: z.literal('project'),
    project: z.string().min(1).max(100).describe('id or name'),
    except: exceptSchema,
  }),
  z.strictObject({
    kind: z.literal('tags'),
    tags: tagsSchema.min(1).describe('VMs that have any of these'),
    except: exceptSchema,
  }),
  z.strictObject({ kind: z.literal('vms'), vms: z.array(uuidSchema).min(1).max(1000), except: exceptSchema }),
]);
export type ScheduleTargets = z.infer<typeof targetsSchema>;

export const PROOF_WHEN = ['never', 'weekly', 'each'] as const;

const scheduleFields = {
  name: nameSchema,
  isEnabled: z.boolean(),
  calendar: calendarSchema.describe('when it begins: minute, hour, day of month, month, day of week'),
  timeZone: timeZoneSchema.describe('in which the calendar is read, and days of retention begin'),
  targets: targetsSchema,
  repository: z.string().max(100).nullable().describe('id or name; null = the default one'),
  retention: retentionSchema,
  proof: z.enum(PROOF_WHEN).describe('when restore points are proven to boot'),
  scrubDays: z
    .int()
    .min(1)
    .max(3650)
    .nullable()
    .describe(
      'a disk that was not read as a whole for so many days is, and what its change tracking missed is found; null = as configured (backups.scrubDays)',
    ),
  priority: z.int().min(0).max(9).describe('of two that wait the higher one goes first'),
  jitterMinutes: z.int().min(0).max(240).describe('it begins up to so much later, always the same at one moment'),
  catchUp: z.boolean().describe('runs that were missed while hyperd was off are made up for, once'),
  windowHours: z
    .int()
    .min(1)
    .max(168)
    .nullable()
    .describe('after so many hours no further VM is begun; null = all are'),
};

export const scheduleCreateSchema = z.strictObject({
  ...scheduleFields,
  isEnabled: scheduleFields.isEnabled.default(true),
  calendar: scheduleFields.calendar.default('0 2 * * *'),
  timeZone: scheduleFields.timeZone.optional().describe('that of the host unless given'),
  targets: scheduleFields.targets.default({ kind: 'all', except: [] }),
  repository: scheduleFields.repository.default(null),
  retention: scheduleFields.retention.default({ last: 0, hourly: 0, daily: 7, weekly: 4, monthly: 6, yearly: 0 }),
  proof: scheduleFields.proof.default('weekly'),
  scrubDays: scheduleFields.scrubDays.default(null),
  priority: scheduleFields.priority.default(5),
  jitterMinutes: scheduleFields.jitterMinutes.default(10),
  catchUp: scheduleFields.catchUp.default(true),
  windowHours: scheduleFields.windowHours.default(null),
});
export type ScheduleCreate = z.output<typeof scheduleCreateSchema>;

export const ROUND_STATES = ['running', 'done', 'failed', 'cancelled', 'skipped'] as const;
export const ROUND_VM_STATES = ['waiting', 'running', 'done', 'failed', 'not_reached', 'gone'] as const;

const roundVmSchema = z.object({
  vmId: uuidSchema,
  vmName: z.string(),
  project: z.string(),
  state: z.enum(ROUND_VM_STATES).describe('not_reached = the run ended before it; gone = it was deleted meanwhile'),
  detail: z.string().nullable().describe('why not, for people'),
  operationId: z.string().nullable(),
  pointId: z.string().nullable(),
  beganAt: timeSchema.nullable(),
  endedAt: timeSchema.nullable(),
});
export type RoundVm = z.infer<typeof roundVmSchema>;

const roundFields = {
  id: z.string().describe('that of its operation, where it has one'),
  scheduleId: z.string(),
  scheduleName: z.string().describe('as it was called then'),
  dueAt: timeSchema.describe('the moment of the calendar that it was for'),
  beganAt: timeSchema,
  endedAt: timeSchema.nullable(),
  state: z.enum(ROUND_STATES),
  note: z.string().nullable().describe('for people'),
};

export const roundSchema = z.object({
  ...roundFields,
  counts: z.object({
    all: z.int(),
    done: z.int(),
    failed: z.int(),
    notReached: z.int(),
    open: z.int().describe('waiting or running'),
  }),
});
export type BackupRound = z.infer<typeof roundSchema>;

export const roundReportSchema = roundSchema.extend({ vms: z.array(roundVmSchema) });
export type RoundReport = z.infer<typeof roundReportSchema>;

export const scheduleSchema = z.object({
  id: z.string(),
  ...scheduleFields,
  repositoryName: z.string().nullable().describe('null = the default one'),
  covered: z.int().describe('VMs that it covers now, of those that the asker may see'),
  nextAt: timeSchema.nullable().describe('null = switched off'),
  lastRound: roundSchema.nullable(),
  createdAt: timeSchema,
});
export type BackupSchedule = z.infer<typeof scheduleSchema>;

export const schedulePreviewSchema = z.object({
  timeZone: z.string(),
  runs: z.array(timeSchema).describe('the next ten, or those until the moment that was asked for'),
  vms: z.array(z.object({ id: uuidSchema, name: z.string(), project: z.string() })),
  leftOut: z.array(z.object({ id: uuidSchema, name: z.string(), project: z.string() })).describe('by `except`'),
});

export const POSTURES = ['protected', 'attention', 'unknown', 'unprotected'] as const;
export type Posture = (typeof POSTURES)[number];
export const postureNameSchema = z.enum(POSTURES);

export const vmPostureSchema = z.object({
  vmId: uuidSchema,
  vmName: z.string(),
  project: z.string(),
  posture: postureNameSchema,
  reasons: z
    .array(z.object({ code: z.string(), text: z.string().describe('a sentence') }))
    .describe('the gravest first; empty when protected'),
  next: z
    .object({ text: z.string(), command: z.string() })
    .nullable()
    .describe('the one thing to do next; null when nothing needs doing'),
  schedules: z.array(z.string()).describe('names of those that cover it'),
  nextRunAt: timeSchema.nullable(),
  newestPointId: z.string().nullable(),
  newestAt: timeSchema
    .nullable()
    .describe('the moment of its newest good restore point: what was written since would be lost'),
  points: z.int(),
  storedBytes: z.number().describe('what its restore points added to the repository'),
  lastRun: z
    .object({
      at: timeSchema,
      state: z.enum(['succeeded', 'failed']),
      detail: z.string().nullable(),
      operationId: z.string(),
    })
    .nullable(),
  proof: z
    .object({
      at: timeSchema,
      verdict: z.enum(['pass', 'fail', 'inconclusive']),
      level: z.int(),
      pointId: z.string().nullable(),
    })
    .nullable()
    .describe('the newest one'),
  isCopied: z.boolean().describe('a second copy of its restore points is asked for'),
  copiedAt: timeSchema.nullable().describe('the moment of its newest restore point that a second copy holds'),
  provenAt: timeSchema.nullable().describe('when it was last proven restorable'),
  bootSeconds: z.number().nullable().describe('how long the last proof took to boot: the measured recovery time'),
  disksLeftOut: z.array(z.string()).describe('disks that its newest restore point does not hold'),
  disksAccepted: z.array(z.string()).describe('those of them of which somebody said that it is right so'),
});
export type VmPosture = z.infer<typeof vmPostureSchema>;

const postureCounts = z.object({
  protected: z.int(),
  attention: z.int(),
  unknown: z.int(),
  unprotected: z.int(),
});

export const orphanSchema = z.object({
  vmId: uuidSchema,
  vmName: z.string(),
  project: z.string(),
  points: z.int(),
  newestAt: timeSchema,
  newestPointId: z.string(),
  storedBytes: z.number(),
});
export type OrphanedPoints = z.infer<typeof orphanSchema>;

export const pruneDecisionSchema = z.object({
  pointId: z.string(),
  vmId: uuidSchema,
  vmName: z.string(),
  repository: z.string(),
  at: timeSchema,
  isKept: z.boolean(),
  reasons: z.array(z.string()).describe('why it stays; empty = it goes'),
});
export type PruneDecision = z.infer<typeof pruneDecisionSchema>;

export const prunePreviewSchema = z.object({
  items: z.array(pruneDecisionSchema),
  kept: z.int(),
  going: z.int(),
  waits: z.string().nullable().describe('why nothing would be removed now, for people; null = it would be'),
});

const schedule = { params: idParam('id or name'), object: { type: 'schedule', param: 'id' } } as const;
const point = { params: idParam('restore point'), object: { type: 'restore-point', param: 'id' } } as const;
const started = { status: 202, response: operationSchema } as const;

export const protectionRoutes = defineRoutes({
  'GET /backup-schedules': {
    summary: 'List when what is backed up',
    permission: 'backup.read',
    list: true,
    response: z.object({ items: z.array(scheduleSchema), total: z.int() }),
  },
  'POST /backup-schedules': {
    summary: 'Back up VMs by a calendar',
    permission: 'backup.configure',
    body: scheduleCreateSchema,
    response: scheduleSchema,
    status: 201,
  },
  'POST /backup-schedules/preview': {
    summary: 'When a schedule would run and which VMs it would cover',
    permission: 'backup.configure',
    changesNothing: true,
    body: scheduleCreateSchema.omit({ name: true }),
    response: schedulePreviewSchema,
  },
  'GET /backup-schedules/{id}': {
    summary: 'Show a schedule',
    permission: 'backup.read',
    ...schedule,
    response: scheduleSchema,
  },
  'GET /backup-schedules/{id}/preview': {
    summary: 'The next runs of a schedule, and the VMs that it covers',
    permission: 'backup.read',
    ...schedule,
    query: z.object({
      until: timeSchema.optional().describe('all runs until then, a thousand at most; the next ten unless given'),
    }),
    response: schedulePreviewSchema,
  },
  'PATCH /backup-schedules/{id}': {
    summary: 'Change a schedule',
    permission: 'backup.configure',
    ...schedule,
    body: z.strictObject(scheduleFields).partial(),
    response: scheduleSchema,
  },
  'DELETE /backup-schedules/{id}': {
    summary: 'Delete a schedule; its restore points stay',
    permission: 'backup.configure',
    ...schedule,
    status: 204,
  },
  'POST /backup-schedules/{id}/run': {
    summary: 'Back up everything that a schedule covers now',
    permission: 'backup.run',
    ...schedule,
    ...started,
  },
  'GET /backup-runs': {
    summary: 'Runs of schedules, newest first',
    permission: 'backup.read',
    list: true,
    query: z.object({ ...pageQuery, schedule: z.string().max(100).optional().describe('id or name') }),
    response: pageOf(roundSchema),
  },
  'GET /backup-runs/{id}': {
    summary: 'What one run of a schedule did for each VM',
    permission: 'backup.read',
    list: true,
    params: idParam('as in the list'),
    response: roundReportSchema,
  },
  'GET /backup-posture': {
    summary: 'How well VMs are protected, the worst first',
    permission: 'backup.read',
    list: true,
    query: z.object({
      ...pageQuery,
      posture: postureNameSchema.optional(),
      q: z.string().max(200).optional().describe('part of the name'),
      project: z.string().max(100).optional().describe('id or name'),
    }),
    response: pageOf(vmPostureSchema).extend({
      worst: postureNameSchema.describe('of all that the asker may see; unknown when there is none'),
      counts: postureCounts.describe('of all that the asker may see'),
      orphans: z.array(orphanSchema).describe('restore points of VMs that are not there any more'),
    }),
  },
  'GET /vms/{id}/backup-posture': {
    summary: 'How well a VM is protected',
    permission: 'backup.read',
    params: idParam('UUID, or the name where it is unique'),
    object: { type: 'vm', param: 'id' },
    response: vmPostureSchema,
  },
  'PUT /vms/{id}/accepted-disks': {
    summary: 'Say of which disks no restore point has to hold them',
    permission: 'backup.configure',
    params: idParam('UUID, or the name where it is unique'),
    object: { type: 'vm', param: 'id' },
    body: z.strictObject({
      disks: z
        .array(z.string().min(1).max(32))
        .max(100)
        .describe('as vdb: all of which this is right from now on; an empty list takes it back'),
      reason: textSchema(200).default(''),
    }),
    status: 204,
  },
  'GET /backup-retention': {
    summary: 'Which restore points the next cleaning keeps, and why',
    permission: 'backup.read',
    list: true,
    query: z.object({
      repository: z.string().max(100).optional().describe('id or name; all unless given'),
      vm: z.string().max(256).optional().describe('UUID or name'),
    }),
    response: prunePreviewSchema,
  },
  'POST /backup-retention/run': {
    summary: 'Remove the restore points that no schedule keeps, and what only they needed',
    permission: 'backup.delete',
    stepUp: true,
    body: z.strictObject({
      repository: z.string().max(100).describe('id or name'),
      allowLarge: z.boolean().default(false).describe('also when a large part of the repository would go'),
    }),
    ...started,
  },
  'POST /restore-points/{id}/protect': {
    summary: 'Keep a restore point whatever the retention says',
    permission: 'backup.run',
    ...point,
    body: z.strictObject({ reason: textSchema(200).default('') }),
    status: 204,
  },
  'POST /restore-points/{id}/unprotect': {
    summary: 'Let the retention decide on a restore point again',
    permission: 'backup.delete',
    stepUp: true,
    ...point,
    status: 204,
  },
  'GET /backup-report': {
    summary: 'What was backed up and proven in the last seven days, as one page',
    permission: 'backup.read',
    query: z.object({ format: z.enum(['html', 'json', 'pdf']).default('html') }),
    raw: 'bytes',
  },
});
