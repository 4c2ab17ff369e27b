/** Virtual machines: their facts, creation, power, edits, consoles and trash. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { GIB, KIB, MIB, TIB } from '#kernel/units.ts';
import { effectSchema, macSchema, nameSchema, projectIdSchema, textSchema, timeSchema, uuidSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { operationSchema } from './operations.ts';

export const vmErrors = defineErrors({
  guest_did_not_shut_down: {
    status: 409,
    title: 'The guest did not shut down in time',
    hint: 'Give it more time and ask again, or cut its power with `hv vm stop` (unsaved data in the guest is lost).',
  },
  vm_protected: {
    status: 409,
    title: 'The VM is protected',
    hint: 'Take the protection away first: `hv vm unprotect NAME`.',
  },
  ambiguous_name: {
    status: 409,
    title: 'Several objects have this name',
    hint: 'Use the id instead; the list shows it.',
  },
  firmware_missing: {
    status: 503,
    title: 'The UEFI firmware is not installed',
    hint: 'Install the package `ovmf` on the host, or choose BIOS.',
  },
  tpm_missing: {
    status: 503,
    title: 'The TPM emulator is not installed',
    hint: 'Install the packages `swtpm` and `swtpm-tools` on the host, or create the VM without a TPM.',
  },
  no_hypervisor: {
    status: 503,
    title: 'This host cannot run VMs',
    hint: 'QEMU is missing or does not start; `hv preflight` says what to do.',
  },
  start_failed: {
    status: 409,
    title: 'The VM does not start',
    hint: 'The log of the daemon has the reason of libvirt and QEMU; `hv preflight` shows known causes.',
  },
  definition_not_allowed: {
    status: 403,
    title: 'The definition holds something that VMs of this project may not have',
    hint: 'Take it out with the program that put it there, or ask an administrator to give the project what it needs.',
  },
  files_missing: {
    status: 409,
    title: 'Files that this needs are gone',
    hint: 'Someone moved or deleted them outside of this program; put them back, or purge the item.',
  },
});

export const vmStateSchema = z.enum([
  'running',
  'idle',
  'paused',
  'shutting_down',
  'off',
  'crashed',
  'suspended',
  'unknown',
]);
export type VmState = z.infer<typeof vmStateSchema>;

export const diskSchema = z.object({
  target: z.string().describe('as vda'),
  device: z.enum(['disk', 'cdrom', 'floppy', 'lun']),
  bus: z.string().nullable(),
  format: z.string().nullable(),
  source: z
    .string()
    .nullable()
    .describe('file name in the pool, image name, or path for foreign VMs; null = empty drive'),
  imageId: z.string().nullable(),
  sizeBytes: z.number().nullable().describe('virtual size'),
  allocatedBytes: z.number().nullable(),
  readOnly: z.boolean(),
  bootOrder: z.int().nullable(),
});

/** What the host lets out of a NIC. */
export const nicFilterSchema = z.enum(['mac_ip', 'mac', 'off']);
export type NicFilter = z.infer<typeof nicFilterSchema>;

export const nicSchema = z.object({
  mac: z.string(),
  model: z.string().nullable(),
  sourceType: z.string().describe('network, bridge, direct, user …'),
  source: z.string().nullable(),
  linkUp: z.boolean(),
  filter: z
    .enum([...nicFilterSchema.options, 'other'])
    .nullable()
    .describe('traffic filter; other = one that another program made, null = none'),
  addresses: z.array(z.object({ address: z.string(), prefix: z.int(), from: z.enum(['lease', 'agent', 'arp']) })),
  bootOrder: z.int().nullable(),
  device: z.string().nullable().describe('its other end on the host while the VM runs, as vnet0'),
});

/** One VM as lists and pages show it. */
export const vmSchema = z.object({
  id: uuidSchema,
  name: z.string().describe('unique in its project; foreign names may hold anything: show as text'),
  project: z.string().describe('id of the project that owns it'),
  state: vmStateSchema,
  stateReason: z.string().nullable().describe('as crashed, user, io_error'),
  desired: z.enum(['running', 'off', 'paused']).describe('what the user wants'),
  managed: z.boolean().describe('made here; false = defined by another program, edited only in the fields you change'),
  isProtected: z.boolean(),
  accel: z.enum(['kvm', 'tcg', 'other']).describe('tcg = software emulation, slow'),
  title: z.string().nullable(),
  description: z.string().nullable(),
  tags: z.array(z.string()).describe('sorted; lists, alert rules and silences can be narrowed to them'),
  vcpus: z.int(),
  memoryBytes: z.number(),
  autostart: z.boolean(),
  persistent: z.boolean(),
  arch: z.string(),
  machine: z.string(),
  firmware: z.enum(['bios', 'uefi', 'kernel']),
  hasTpm: z.boolean(),
  hasVnc: z.boolean().describe('false = headless'),
  hasSerial: z.boolean(),
  agent: z.enum(['connected', 'disconnected', 'absent', 'unknown']),
  disks: z.array(diskSchema),
  nics: z.array(nicSchema),
  bootOrder: z.array(z.string()).describe('disk targets and NIC MACs in the order they are tried'),
  pending: z
    .array(z.object({ field: z.string(), now: z.string(), next: z.string() }))
    .describe('differences between the running VM and its next boot'),
  startedAt: timeSchema.nullable(),
  createdAt: timeSchema.nullable(),
  usage: z
    .object({
      cpuRatio: z.number().nullable().describe('share of its vCPUs in use, 0 to 1'),
      memoryUsedBytes: z.number().nullable().describe('as the guest sees it; null without balloon figures'),
      diskReadBytesPerSecond: z.number().nullable(),
      diskWriteBytesPerSecond: z.number().nullable(),
      netReceiveBytesPerSecond: z.number().nullable(),
      netTransmitBytesPerSecond: z.number().nullable(),
      measuredAt: timeSchema,
    })
    .nullable()
    .describe('null = not measured'),
  operationId: z.string().nullable().describe('the operation that works on it now'),
  staleSince: timeSchema.nullable().describe('set while the host does not answer: what is shown is that old'),
  etag: z.string().describe('of the definition, for If-Match'),
});
export type Vm = z.infer<typeof vmSchema>;

const sshKeySchema = z
  .string()
  .max(16_384)
  .regex(
    /^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com) [A-Za-z0-9+/]+={0,2}( [^\p{Cc}]*)?$/u,
    'use one public key line: type, base64, comment; no options',
  );

export const cloudInitSchema = z.strictObject({
  hostname: nameSchema.optional().describe('the VM name unless given'),
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}$/, 'use a Unix user name')
    .optional(),
  sshKeys: z.array(sshKeySchema).max(50).default([]),
  password: z.string().min(8).max(128).optional().describe('hashed before it is stored in the seed; never shown again'),
  packages: z
    .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9.+:~_-]{0,99}$/, 'use a package name'))
    .max(100)
    .default([]),
  userData: z
    .string()
    .max(64 * KIB)
    .optional()
    .describe('whole user-data document (#cloud-config …); replaces the fields above'),
  networkData: z
    .string()
    .max(64 * KIB)
    .optional()
    .describe('network-config document, version 1 or 2'),
});

/** A tag of a VM. A set: order and repeats do not count. */
export const tagsSchema = z
  .array(z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,31}$/, 'use up to 32 lower-case letters, digits, and _ . - inside'))
  .max(20);

const sizeSchema = (min: number, max: number) => z.int().min(min).max(max);

const diskSpecSchema = z.strictObject({
  sizeBytes: sizeSchema(MIB, 64 * TIB)
    .optional()
    .describe('needed for an empty disk; with an image at least its virtual size'),
  imageId: z.string().max(100).optional().describe('cloud image or disk image that it is a full copy of'),
  format: z.enum(['qcow2', 'raw']).default('qcow2'),
  pool: nameSchema.optional(),
});

const nicSpecSchema = z.strictObject({
  network: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('libvirt network; the NAT network `default` unless bridge is given'),
  bridge: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/, 'use the name of a bridge of the host')
    .optional(),
  mac: macSchema.optional(),
  filter: nicFilterSchema
    .optional()
    .describe(
      'mac_ip = only its own MAC and the address that it got by DHCP, mac = only its own MAC; off lets everything out; mac_ip where libvirt gives addresses, else mac; less than that needs network.configure',
    ),
});

/** What to create. */
export const vmCreateSchema = z.strictObject({
  name: nameSchema,
  project: projectIdSchema,
  title: textSchema(120).optional(),
  description: textSchema(8000).optional(),
  tags: tagsSchema.default([]),
  vcpus: sizeSchema(1, 512).default(2),
  memoryBytes: sizeSchema(16 * MIB, 16 * TIB).default(2 * GIB),
  firmware: z.enum(['uefi', 'bios']).default('uefi'),
  secureBoot: z.boolean().default(false),
  tpm: z.boolean().default(false),
  graphics: z.boolean().default(true).describe('VNC on a local socket; false = headless with serial only'),
  isoId: z.string().max(100).optional().describe('ISO in the drive, booted first'),
  kernel: z
    .strictObject({
      kernelImageId: z.string().max(100),
      initrdImageId: z.string().max(100).optional(),
      commandLine: textSchema(2048).default(''),
    })
    .optional()
    .describe('boot this kernel directly; images of kind kernel and initrd'),
  disks: z.array(diskSpecSchema).max(24).default([]),
  nics: z.array(nicSpecSchema).max(16).default([{}]),
  cloudInit: cloudInitSchema.optional(),
  autostart: z.boolean().default(false),
  isProtected: z.boolean().default(false),
  accel: z.enum(['auto', 'tcg']).default('auto').describe('auto = KVM where it is proven to work, else TCG'),
  start: z.boolean().default(true),
});
export type VmCreate = z.output<typeof vmCreateSchema>;
export type VmCreateInput = z.input<typeof vmCreateSchema>;

/** Fields that can be edited; absent = unchanged. */
export const vmEditSchema = z.strictObject({
  name: nameSchema.optional(),
  title: textSchema(120).nullable().optional(),
  description: textSchema(8000).nullable().optional(),
  tags: tagsSchema.optional().describe('all of them; those left out are taken away'),
  vcpus: sizeSchema(1, 512).optional(),
  memoryBytes: sizeSchema(16 * MIB, 16 * TIB).optional(),
  autostart: z.boolean().optional(),
  isProtected: z.boolean().optional(),
  bootOrder: z
    .array(z.string().max(64))
    .max(64)
    .optional()
    .describe('disk targets and NIC MACs; those not named are not tried'),
  cdrom: z
    .strictObject({ target: z.string().regex(/^[a-z]{2,3}[a-z0-9]{0,3}$/), imageId: z.string().max(100).nullable() })
    .optional()
    .describe('put an ISO in a drive, or null to eject'),
  nics: z
    .array(z.strictObject({ mac: macSchema, filter: nicFilterSchema }))
    .min(1)
    .max(16)
    .optional()
    .describe('traffic filters of NICs, from the next boot on; less than it has needs network.configure'),
});
export type VmEdit = z.infer<typeof vmEditSchema>;

export const planChangeSchema = z.object({
  field: z.string(),
  now: z.string().nullable(),
  after: z.string().nullable(),
  effect: effectSchema,
});

/** What a create or an edit will do, before it does it. */
export const vmPlanSchema = z.object({
  changes: z.array(planChangeSchema),
  steps: z.array(z.object({ name: z.string(), title: z.string() })),
  warnings: z.array(z.string()),
  accel: z.enum(['kvm', 'tcg']),
  needs: z.object({
    memoryBytes: z.number(),
    diskBytes: z.number(),
    freeMemoryBytes: z.number().nullable(),
    freeDiskBytes: z.number().nullable(),
  }),
});
export type VmPlan = z.infer<typeof vmPlanSchema>;

export const trashItemSchema = z.object({
  id: z.string(),
  vmId: uuidSchema,
  name: z.string(),
  project: z.string().describe('id of the project that owned it'),
  state: z.literal('trashed'),
  deletedAt: timeSchema,
  purgeAt: timeSchema.nullable().describe('null = kept until a person decides'),
  isTakenAway: z
    .boolean()
    .describe('another program took the VM from libvirt; its disks lie where they were until it is restored or purged'),
  sizeBytes: z.number(),
  disks: z.array(z.string()),
  deletedBy: z.string(),
});
export type TrashItem = z.infer<typeof trashItemSchema>;

export const consoleTicketSchema = z.object({
  ticket: z.string(),
  path: z.string().describe('WebSocket path with the ticket'),
  expiresAt: timeSchema,
});

const vmId = idParam('UUID, or the name where it is unique');
const onVm = { params: vmId, object: { type: 'vm', param: 'id' } } as const;

const power = (summary: string) =>
  ({ summary, permission: 'vm.power', ...onVm, response: operationSchema, status: 202 }) as const;

export const vmRoutes = defineRoutes({
  'GET /vms': {
    summary: 'List VMs',
    permission: 'vm.read',
    list: true,
    query: z.object({
      ...pageQuery,
      project: z.string().max(64).optional().describe('id or name'),
      q: z.string().max(200).optional().describe('part of the name, title, description, tag, address or MAC'),
      tag: z.string().max(700).optional().describe('tags, separated by commas; VMs that have all of them'),
      state: z.string().max(200).optional().describe('states, separated by commas'),
      sort: z.enum(['name', '-name', 'state', '-state', 'cpu', '-cpu', 'memory', '-memory']).default('name'),
    }),
    response: pageOf(vmSchema),
  },
  'POST /vms': {
    summary: 'Create a VM',
    permission: 'vm.create',
    project: 'body',
    body: vmCreateSchema,
    response: operationSchema,
    status: 202,
  },
  'POST /vms/plan': {
    summary: 'Show what a create would do',
    permission: 'vm.create',
    project: 'body',
    body: vmCreateSchema,
    changesNothing: true,
    response: vmPlanSchema,
  },
  'GET /vms/{id}': { summary: 'Show a VM', permission: 'vm.read', ...onVm, response: vmSchema },
  'GET /vms/{id}/xml': {
    summary: 'The libvirt definition, without secrets',
    permission: 'vm.read',
    ...onVm,
    raw: 'bytes',
  },
  'PATCH /vms/{id}': {
    summary: 'Edit a VM (If-Match honoured)',
    permission: 'vm.configure',
    ...onVm,
    body: vmEditSchema,
    response: operationSchema,
    status: 202,
  },
  'POST /vms/{id}/move': {
    summary: 'Give a VM that is off to another project (needs vm.create there)',
    permission: 'vm.delete',
    ...onVm,
    body: z.strictObject({ project: projectIdSchema.unwrap() }),
    response: operationSchema,
    status: 202,
  },
  'POST /vms/{id}/plan': {
    summary: 'Show what an edit would do and when it takes hold',
    permission: 'vm.configure',
    ...onVm,
    body: vmEditSchema,
    changesNothing: true,
    response: vmPlanSchema,
  },
  'DELETE /vms/{id}': {
    summary: 'Move a VM to the trash',
    permission: 'vm.delete',
    ...onVm,
    query: z.object({
      stop: z.stringbool().optional().describe('cut its power first; without it a running VM is refused'),
    }),
    response: operationSchema,
    status: 202,
  },
  'POST /vms/{id}/start': power('Start'),
  'POST /vms/{id}/shutdown': {
    ...power('Ask the guest to shut down: agent first, then ACPI'),
    body: z.strictObject({ timeoutSeconds: z.int().min(1).max(3600).default(90) }).default({ timeoutSeconds: 90 }),
  },
  'POST /vms/{id}/stop': power('Cut the power (unsaved data in the guest is lost)'),
  'POST /vms/{id}/reboot': power('Ask the guest to reboot'),
  'POST /vms/{id}/reset': power('Press the reset button (unsaved data in the guest is lost)'),
  'POST /vms/{id}/pause': power('Freeze the vCPUs'),
  'POST /vms/{id}/resume': power('Let the vCPUs run again'),
  'GET /vms/{id}/screenshot': {
    summary: 'Picture of the screen as PNG, at most 5 s old',
    permission: 'vm.screen',
    ...onVm,
    query: z.object({ width: z.coerce.number().int().min(32).max(4096).optional() }),
    raw: 'bytes',
  },
  'GET /vms/{id}/serial/log': {
    summary: 'The last 256 KiB that the guest wrote to its serial console',
    permission: 'vm.screen',
    ...onVm,
    raw: 'bytes',
  },
  'POST /vms/{id}/keys': {
    summary: 'Press a key combination on the guest keyboard',
    permission: 'vm.console',
    ...onVm,
    body: z.strictObject({
      keys: z
        .array(z.string().regex(/^[a-z0-9_]{1,20}$/))
        .min(1)
        .max(8)
        .describe('as ctrl, alt, delete; pressed together'),
    }),
  },
  'POST /vms/{id}/tickets': {
    summary: 'A ticket that opens one console WebSocket within 30 s',
    permission: 'vm.screen',
    ...onVm,
    body: z.strictObject({
      kind: z.enum(['vnc', 'serial']),
      mode: z.enum(['control', 'view']).default('control').describe('control needs vm.console'),
    }),
    response: consoleTicketSchema,
    status: 201,
  },
  'GET /vms/{id}/console': {
    summary: 'VNC (RFB) over WebSocket',
    permission: 'vm.screen',
    ...onVm,
    query: z.object({ ticket: z.string().max(100) }),
    raw: 'websocket',
  },
  'GET /vms/{id}/serial': {
    summary: 'Serial console over WebSocket',
    permission: 'vm.screen',
    ...onVm,
    query: z.object({ ticket: z.string().max(100) }),
    raw: 'websocket',
  },
  'GET /trash': {
    summary: 'List deleted VMs that can be restored',
    permission: 'vm.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(trashItemSchema),
  },
  'POST /trash/{id}/restore': {
    summary: 'Bring a deleted VM back',
    permission: 'vm.delete',
    params: idParam('trash id, or VM name'),
    object: { type: 'trash', param: 'id' },
    response: operationSchema,
    status: 202,
  },
  'DELETE /trash/{id}': {
    summary: 'Delete a VM in the trash for good',
    permission: 'vm.delete',
    stepUp: true,
    params: idParam('trash id, or VM name'),
    object: { type: 'trash', param: 'id' },
    response: operationSchema,
    status: 202,
  },
});
