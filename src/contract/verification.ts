/** Proofs: whether a restore point restores. How far each was proven (the level), what was found (the verdict), and the evidence. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { filesystemCheckSchema } from './backup-files.ts';
import { textSchema, timeSchema, uuidSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { operationSchema } from './operations.ts';

/** What each level shows; each needs those below it. */
export const PROOF_LEVELS = [
  'the manifest is whole and its pages are there',
  'each chunk was read again and is what it was',
  'the disks hold partitions and file systems that are known',
  'the guest starts',
  'the guest agent answers, and it is the right guest',
  'what you asked for answers',
] as const;
export type ProofLevel = 0 | 1 | 2 | 3 | 4 | 5;
export const proofLevelSchema = z.union([
  z.literal(0),
  z.literal(1),
  z.literal(2),
  z.literal(3),
  z.literal(4),
  z.literal(5),
]);

export const PROOF_VERDICTS = ['pass', 'fail', 'inconclusive'] as const;
export type ProofVerdict = (typeof PROOF_VERDICTS)[number];

interface ReasonFacts {
  readonly verdict: ProofVerdict;
  /** One sentence for people. */
  readonly text: string;
  /** What to do next. */
  readonly hint: string;
}

const reason = <const Facts extends ReasonFacts>(facts: Facts): Facts => facts;
const fail = (text: string, hint: string) => reason({ verdict: 'fail', text, hint });
const unsure = (text: string, hint: string) => reason({ verdict: 'inconclusive', text, hint });
const NEWER = 'Back the VM up now and prove the new point; prove older points to find the newest that restores.';

/** Every way a proof can end. A failure needs something that was seen to be wrong; not having seen enough is never one. */
export const PROOF_REASONS = {
  proven: { verdict: 'pass', text: 'Everything asked for was seen.', hint: 'Nothing to do.' },
  manifest_damaged: fail('The table of contents of the point is damaged or a part of it is missing.', NEWER),
  data_damaged: fail('A piece of the disks is missing or is not what was written.', NEWER),
  structure_broken: fail('A partition table or file system on a disk is damaged.', NEWER),
  filesystem_damaged: fail(
    'A file system is damaged beyond what it mends by itself.',
    'It may have been when it was backed up: check it in the VM, then back it up again; older points may be whole.',
  ),
  kernel_panic: fail('The kernel of the guest stopped with a panic.', 'Look at the serial log of the proof.'),
  emergency_mode: fail('The guest did not get further than its emergency shell.', 'Look at the serial log.'),
  no_boot_device: fail('The firmware found nothing to start from.', 'Look whether the boot disk is backed up.'),
  guest_stopped: fail('The guest switched itself off, twice.', 'Look at the serial log and the pictures.'),
  boot_stalled: fail('The guest stopped getting on with its start, twice.', 'Look at the serial log and the pictures.'),
  agent_silent: fail(
    'The guest starts, but its agent does not answer, twice; it did when the backup was made.',
    'Look at the serial log; does the agent start with the guest?',
  ),
  wrong_guest: fail('Another guest than the one that was backed up answers.', 'Look at the evidence: who answered?'),
  probe_failed: fail('What was asked of the guest failed.', 'Look at the answer in the evidence.'),
  nothing_checked: fail(
    'There is no restore point to prove.',
    'Back the VM up; look at its schedule and repository when it should have been.',
  ),
  no_signal: unsure(
    'It is not known what this guest gives as a sign of life, and none came.',
    'Install the guest agent, let the guest log to its serial port, or say what to look for: `hv verify set NAME --marker TEXT`.',
  ),
  no_memory: unsure('The host has too little free memory for the test.', 'Prove it again when there is more.'),
  no_space: unsure('The host has too little free space for the test.', 'Free space in the state folder.'),
  timed_out: unsure('The time was over while the guest still got on.', 'Prove it again when the host has less to do.'),
  probe_unreachable: unsure(
    'What was asked for could not be asked: the guest had no address in its isolated network.',
    'The guest must ask for an address by DHCP, and a network card must be allowed in the proof.',
  ),
  cancelled: unsure('It was cancelled.', 'Prove it again.'),
  own_error: unsure('Something failed here, not in the point.', 'The evidence names it; prove it again.'),
} as const satisfies Readonly<Record<string, ReasonFacts>>;

export type ProofReason = keyof typeof PROOF_REASONS;
export const PROOF_REASON_NAMES = Object.keys(PROOF_REASONS) as readonly ProofReason[] as readonly [
  ProofReason,
  ...ProofReason[],
];
export const reasonFacts = (name: ProofReason): ReasonFacts => PROOF_REASONS[name];

export const verificationErrors = defineErrors({
  proof_running: {
    status: 409,
    title: 'A restore point of this VM is being proven',
    hint: 'Wait for it (`hv op list`), or cancel it.',
  },
});

const guestPath = z.string().regex(/^\//, 'use the full path in the guest').max(1000);

/** What is asked of a guest from outside or inside once it has started. */
export const proofProbeSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('tcp'), port: z.int().min(1).max(65_535) }),
  z.strictObject({
    kind: z.literal('http'),
    port: z.int().min(1).max(65_535).default(80),
    path: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, 'use a path that begins with /')
      .max(1000)
      .default('/'),
    expectText: z.string().min(1).max(500).optional().describe('has to be in the answer'),
  }),
  z.strictObject({
    kind: z.literal('script'),
    program: guestPath.describe('runs in the guest through its agent; exit code 0 = good'),
    args: z.array(z.string().max(4000)).max(50).default([]),
  }),
]);
export type ProofProbe = z.infer<typeof proofProbeSchema>;

export const proofSettingsSchema = z.object({
  level: proofLevelSchema.nullable().describe('that has to be reached; null = what the backup shows that the VM gives'),
  marker: textSchema(200)
    .nullable()
    .describe('text on the serial port that says that the guest has started; null = a login prompt'),
  probe: proofProbeSchema.nullable().describe('what is asked of the guest; level 5'),
  hasNetwork: z.boolean().describe('the guest gets a network card, in a network of its own that leads nowhere'),
});
export type ProofSettings = z.infer<typeof proofSettingsSchema>;
export const DEFAULT_PROOF_SETTINGS: ProofSettings = { level: null, marker: null, probe: null, hasNetwork: true };

const timingsSchema = z.object({
  exportSeconds: z.number().nullable().describe('until the disks could be read'),
  defineSeconds: z.number().nullable().describe('until the test VM was there'),
  kernelSeconds: z.number().nullable().describe('after its start, until the kernel spoke'),
  startedSeconds: z.number().nullable().describe('until its login prompt or marker'),
  agentSeconds: z.number().nullable(),
  probeSeconds: z.number().nullable(),
});
export type ProofTimings = z.infer<typeof timingsSchema>;

/** How one start of the test VM went. */
export const bootAttemptSchema = z.object({
  end: z.string().describe('why it was over'),
  detail: z.string().nullable(),
  seconds: z.number().describe('from its start to its end'),
  timings: timingsSchema,
  serialBytes: z.number(),
  readBytes: z.number().describe('of the restore point'),
});

const fileSchema = z.object({
  name: z.string(),
  contentType: z.string(),
  sizeBytes: z.number(),
  sha256: z.string(),
});

export const proofEvidenceSchema = z.object({
  notes: z.array(z.string()).describe('what was left out, and why'),
  disks: z.array(
    z.object({
      target: z.string(),
      sizeBytes: z.number(),
      structure: z.string().describe('what was found on it'),
    }),
  ),
  filesystems: z
    .array(filesystemCheckSchema)
    .default([])
    .describe('what the checkers of the file systems say; empty = they were not asked'),
  data: z.object({
    checkedBytes: z.number().describe('read again in this proof'),
    checkedAt: timeSchema.nullable().describe('when the oldest piece was last read again'),
    problem: z.string().nullable(),
  }),
  attempts: z.array(bootAttemptSchema),
  guest: z.object({
    hostname: z.string().nullable(),
    os: z.string().nullable(),
    machineId: z.string().nullable().describe('hashed'),
    probe: z.string().nullable().describe('what it answered'),
  }),
  host: z.object({
    accel: z.enum(['kvm', 'tcg']),
    qemu: z.string().nullable(),
    load: z.number().describe('of one minute, when it began'),
    network: z.enum(['isolated', 'none']),
    networkNote: z.string().nullable(),
  }),
  files: z.array(fileSchema),
});
export type ProofEvidence = z.infer<typeof proofEvidenceSchema>;

export const proofSchema = z.object({
  id: z.string(),
  vmId: uuidSchema,
  vmName: z.string(),
  project: z.string(),
  pointId: z.string().nullable(),
  repository: z.string().nullable(),
  pointTime: timeSchema.nullable().describe('of which moment the point is'),
  operationId: z.string(),
  startedAt: timeSchema,
  finishedAt: timeSchema,
  verdict: z.enum(PROOF_VERDICTS),
  reason: z.enum(PROOF_REASON_NAMES),
  text: z.string(),
  hint: z.string(),
  level: proofLevelSchema.nullable().describe('that was reached; null = not even the first'),
  requiredLevel: proofLevelSchema.nullable().describe('null = any sign of life'),
  recoverySeconds: z.number().nullable().describe('from the decision to a running guest: export, definition and start'),
  evidence: proofEvidenceSchema,
  evidenceDigest: z.string().describe('SHA-256 over the evidence, as the audit log has it'),
});
export type Proof = z.infer<typeof proofSchema>;

const proofSummarySchema = proofSchema.omit({ evidence: true });
export type ProofSummary = z.infer<typeof proofSummarySchema>;

const vmParam = idParam('UUID, or the name where it is unique');

export const verificationRoutes = defineRoutes({
  'POST /vms/{id}/proofs': {
    summary: 'Prove that a restore point of a VM restores',
    permission: 'backup.verify',
    object: { type: 'vm', param: 'id' },
    params: vmParam,
    body: z.strictObject({
      point: z.string().min(1).max(100).optional().describe('id of the point; the newest unless said'),
      level: proofLevelSchema.optional().describe('that has to be reached, this once'),
    }),
    response: operationSchema,
    status: 202,
  },
  'GET /proofs': {
    summary: 'Proofs, newest first',
    permission: 'backup.read',
    list: true,
    query: z.object({
      ...pageQuery,
      limit: z.coerce.number().int().min(1).max(1000).default(100),
      vm: z.string().max(256).optional().describe('UUID or name of the VM'),
      verdict: z.enum(PROOF_VERDICTS).optional(),
    }),
    response: pageOf(proofSummarySchema),
  },
  'GET /proofs/{id}': {
    summary: 'A proof with its evidence',
    permission: 'backup.read',
    object: { type: 'proof', param: 'id' },
    params: idParam('id of the proof'),
    response: proofSchema,
  },
  'GET /proofs/{id}/file': {
    summary: 'A file of the evidence: the serial log, a picture of the screen',
    permission: 'backup.verify',
    object: { type: 'proof', param: 'id' },
    params: idParam('id of the proof'),
    query: z.object({
      name: z
        .string()
        .regex(/^[a-z0-9][a-z0-9.-]{0,60}$/, 'use the name from the evidence')
        .describe('as the evidence lists it'),
    }),
    raw: 'bytes',
  },
  'GET /vms/{id}/proof-settings': {
    summary: 'How restore points of a VM are proven',
    permission: 'backup.read',
    object: { type: 'vm', param: 'id' },
    params: vmParam,
    response: proofSettingsSchema,
  },
  'PATCH /vms/{id}/proof-settings': {
    summary: 'Say how restore points of a VM are proven',
    permission: 'backup.verify',
    object: { type: 'vm', param: 'id' },
    params: vmParam,
    body: z.strictObject(proofSettingsSchema.partial().shape),
    response: proofSettingsSchema,
  },
});
