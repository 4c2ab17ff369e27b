/** Self-healing: what hyperd may do by itself, how far it goes with each, and what it did. */

import { z } from 'zod';
import { timeSchema, uuidSchema } from './common.ts';
import { defineRoutes, idParam, pageQuery } from './define.ts';

/** `observe`: it only writes down what it would have done. */
export const HEALING_MODES = ['off', 'observe', 'act'] as const;
export const healingModeSchema = z.enum(HEALING_MODES);
export type HealingMode = z.infer<typeof healingModeSchema>;

interface HealingActionFacts {
  /** For people, as `Restart crashed VMs`. */
  readonly title: string;
  /** When, and what is never done. */
  readonly meaning: string;
  readonly defaultMode: HealingMode;
  /** Whether VMs can have a mode of their own. */
  readonly perVm: boolean;
  /** Only for VMs that were given a mode for it. */
  readonly isOptIn: boolean;
  /** At most so often in an hour on one object; then a person is told. */
  readonly perHour: number;
}

const action = (facts: Omit<HealingActionFacts, 'isOptIn'> & { readonly isOptIn?: boolean }): HealingActionFacts => ({
  isOptIn: false,
  ...facts,
});

/** Everything that hyperd may do by itself. What is not here it never does. */
export const HEALING_ACTIONS = {
  'vm-restart': action({
    title: 'Restart crashed VMs',
    meaning:
      'A VM made here whose QEMU died, and that is meant to run. Not after a shutdown by guest or person, when the host ran out of memory, when a disk is missing, or while an operation works on it.',
    defaultMode: 'act',
    perVm: true,
    perHour: 5,
  }),
  'vm-resume': action({
    title: 'Resume VMs that ran out of space',
    meaning: 'A VM that QEMU paused because its storage was full, once more than 5 % of it are free again.',
    defaultMode: 'observe',
    perVm: true,
    perHour: 3,
  }),
  'disk-pause': action({
    title: 'Pause what can wait while a disk is nearly full',
    meaning:
      'From 90 % on no download, upload or import begins on that file system; below 85 % they may again. What was promised its space goes on.',
    defaultMode: 'observe',
    perVm: false,
    perHour: 6,
  }),
  'disk-reserve': action({
    title: 'Keep a reserve on disks',
    meaning: 'A file of 1 % (4 GiB at most) on each file system of hyperd, made while less than 80 % are used.',
    defaultMode: 'observe',
    perVm: false,
    perHour: 2,
  }),
  'disk-free': action({
    title: 'Free a full disk',
    meaning:
      'From 98 % on the reserve and half-made files of operations that are over are removed. Never disks, snapshots or images.',
    defaultMode: 'observe',
    perVm: false,
    perHour: 2,
  }),
  'pool-start': action({
    title: 'Start storage pools again',
    meaning:
      'A pool that starts with the host and is inactive, at most every five minutes. Not when its folder is missing or somebody stopped it.',
    defaultMode: 'observe',
    perVm: false,
    perHour: 12,
  }),
  'nic-up': action({
    title: 'Switch NICs on again',
    meaning:
      'A NIC of a running VM whose rules follow its address and that is switched off on the host, as libvirt does when these rules cannot be made: those of all guests are made anew first. Not one whose link was set down in its VM. Needs a hyperd that runs as root.',
    defaultMode: 'observe',
    perVm: true,
    perHour: 3,
  }),
  'service-start': action({
    title: 'Start services that failed',
    meaning:
      'A service of `healing.services` that systemd gave up on. Those of libvirt only while nothing works on a VM. One that somebody stopped stays stopped, and none is ever stopped.',
    defaultMode: 'observe',
    perVm: false,
    perHour: 3,
  }),
  'agent-sync': action({
    title: 'Wake guest agents',
    meaning: 'An agent that is connected and has not answered for ten minutes is asked for a sign of life.',
    defaultMode: 'observe',
    perVm: true,
    perHour: 3,
  }),
  'guest-trim': action({
    title: 'Trim guest file systems',
    meaning:
      'Once a week, for VMs that ask for it, whose disks pass discards on and whose agent answers. Not on battery.',
    defaultMode: 'observe',
    perVm: true,
    isOptIn: true,
    perHour: 1,
  }),
  'monitor-evidence': action({
    title: 'Collect evidence of a QEMU that hangs',
    meaning: 'When QEMU has not answered for a minute: what the kernel tells of its threads. QEMU is never killed.',
    defaultMode: 'observe',
    perVm: true,
    perHour: 1,
  }),
} as const satisfies Readonly<Record<string, HealingActionFacts>>;

export type HealingActionId = keyof typeof HEALING_ACTIONS;

export const HEALING_ACTION_IDS = Object.keys(HEALING_ACTIONS) as readonly HealingActionId[] as readonly [
  HealingActionId,
  ...HealingActionId[],
];
export const healingActionIdSchema = z.enum(HEALING_ACTION_IDS);

export const healingFacts = (id: HealingActionId): HealingActionFacts => HEALING_ACTIONS[id];

export const ACT_RESULTS = [
  'begun',
  'done',
  'failed',
  'cancelled',
  'not_begun',
  'would_have',
  'held',
  'gave_up',
  'ended',
] as const;

const vmModeSchema = z.object({
  action: healingActionIdSchema,
  mode: healingModeSchema.nullable().describe('of this VM; null = that of the action'),
  effective: healingModeSchema.describe('what holds: an action that is off is off for every VM'),
});
export type HealingVmMode = z.infer<typeof vmModeSchema>;

export const healingActionSchema = z.object({
  id: healingActionIdSchema,
  title: z.string(),
  meaning: z.string(),
  mode: healingModeSchema,
  defaultMode: healingModeSchema,
  perVm: z.boolean().describe('VMs can have a mode of their own'),
  isOptIn: z.boolean().describe('only for VMs that were given a mode'),
  perHour: z.int().describe('at most so often in an hour on one object'),
  vms: z.array(z.object({ id: uuidSchema, name: z.string(), mode: healingModeSchema })),
});
export type HealingAction = z.infer<typeof healingActionSchema>;

export const healingActSchema = z.object({
  id: z.string(),
  at: timeSchema,
  action: healingActionIdSchema,
  objectType: z.enum(['vm', 'pool', 'host', 'service']),
  objectId: z.string(),
  objectName: z.string(),
  project: z.string().nullable(),
  result: z
    .enum(ACT_RESULTS)
    .describe(
      'would_have = only observed; held = something stood against it, or healing is paused; gave_up = its budget is used up; ended = somebody took over; not_begun = it was decided, and overtaken before it began',
    ),
  text: z.string().describe('what was found and done, for people'),
  operationId: z.string().nullable(),
});
export type HealingAct = z.infer<typeof healingActSchema>;

export const healingPauseSchema = z.object({
  since: timeSchema,
  until: timeSchema,
  by: z.string(),
  reason: z.string().describe('for everybody who looks; may be empty'),
});
export type HealingPause = z.infer<typeof healingPauseSchema>;

const MAX_PAUSE_MINUTES = 7 * 24 * 60;
const pauseCreateSchema = z.strictObject({
  minutes: z.int().min(1).max(MAX_PAUSE_MINUTES).describe('from now; a week at most'),
  reason: z.string().trim().max(200).default(''),
});

const vmParam = idParam('UUID, or the name where it is unique');
const vmModes = z.object({ items: z.array(vmModeSchema) });

export const healingRoutes = defineRoutes({
  'GET /healing/actions': {
    summary: 'What hyperd may do by itself, and how far it goes',
    permission: 'vm.read',
    list: true,
    response: z.object({
      items: z.array(healingActionSchema),
      pause: healingPauseSchema.nullable().describe('while it lasts nothing is done, whatever the modes say'),
    }),
  },
  'POST /healing/pause': {
    summary: 'Let healing do nothing for a while, as during work on the machine',
    permission: 'settings.change',
    body: pauseCreateSchema,
    response: healingPauseSchema,
  },
  'DELETE /healing/pause': {
    summary: 'Let healing go on before its pause is over',
    permission: 'settings.change',
  },
  'PATCH /healing/actions/{id}': {
    summary: 'Say how far an action may go: off, observe or act',
    permission: 'settings.change',
    params: z.object({ id: healingActionIdSchema }),
    body: z.strictObject({ mode: healingModeSchema }),
    response: healingActionSchema,
  },
  'GET /vms/{id}/healing': {
    summary: 'How far healing may go with a VM',
    permission: 'vm.read',
    object: { type: 'vm', param: 'id' },
    params: vmParam,
    response: vmModes,
  },
  'PATCH /vms/{id}/healing': {
    summary: 'Give a VM a mode of its own, or take it away',
    permission: 'vm.configure',
    object: { type: 'vm', param: 'id' },
    params: vmParam,
    body: z.strictObject({ action: healingActionIdSchema, mode: healingModeSchema.nullable() }),
    response: vmModes,
  },
  'GET /healing/acts': {
    summary: 'What was done, and what would have been, newest first',
    permission: 'vm.read',
    list: true,
    query: z.object({
      ...pageQuery,
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      action: healingActionIdSchema.optional(),
      object: z.string().max(256).optional().describe('id or name of the VM, pool, service or folder'),
      result: z.enum(ACT_RESULTS).optional(),
    }),
    response: z.object({ items: z.array(healingActSchema), next: z.string().nullable() }),
  },
});
