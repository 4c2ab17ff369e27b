/** The audit log: its records, the chain they stand in, and what can be asked of it. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { timeSchema } from './common.ts';
import { defineRoutes, pageQuery } from './define.ts';

export const auditErrors = defineErrors({
  audit_unavailable: {
    status: 503,
    title: 'This cannot be recorded, so it was not done',
    hint: 'Free space on the file system of the state folder and look at `hv audit status`; reading goes on meanwhile.',
  },
});

export const AUDIT_OUTCOMES = ['done', 'failed', 'cancelled', 'denied', 'invalid', 'unknown'] as const;
export const AUDIT_FORMATS = ['jsonl', 'csv', 'cef', 'ocsf'] as const;
export type AuditFormat = (typeof AUDIT_FORMATS)[number];

export const auditRecordSchema = z.object({
  id: z.string(),
  at: timeSchema,
  phase: z.enum(['intent', 'outcome']),
  outcome: z
    .enum(AUDIT_OUTCOMES)
    .nullable()
    .describe('null for an intent; unknown = hyperd ended before the outcome was recorded'),
  actor: z.string(),
  via: z.string(),
  address: z.string().nullable(),
  action: z.string().describe('the route, as POST /vms/{id}/start, or the kind of a job'),
  permission: z.string().nullable(),
  objectType: z.string().nullable(),
  objectId: z.string().nullable(),
  objectName: z.string().nullable(),
  requestId: z.string().nullable(),
  operationId: z.string().nullable(),
  code: z.string().nullable().describe('error code of a failure or refusal'),
  seq: z.int().describe('place in the chain, from 1 on'),
  hash: z.string().describe('SHA-256 over the record and the hash before it'),
  actorId: z.string().nullable(),
  method: z.string().nullable().describe('how the actor signed in'),
  sessionId: z.string().nullable().describe('a digest of the session or token; the same for all its records'),
  project: z.string().nullable(),
  grant: z.string().nullable().describe('the grant that allowed it'),
  params: z.unknown().describe('what was asked for; secrets as hmac:…, long values shortened'),
  durationMs: z.number().nullable(),
});
export type AuditRecord = z.infer<typeof auditRecordSchema>;

/** A record that does not stand where it should. */
export const auditFindingSchema = z.object({
  kind: z
    .enum(['changed', 'removed', 'reordered', 'duplicated', 'cut', 'rewritten', 'signature'])
    .describe(
      'cut = the end is missing; rewritten = the chain holds in itself, but differs from a checkpoint or the mirror; signature = a checkpoint is not signed by the key',
    ),
  seq: z.int().describe('the first record concerned'),
  to: z.int().describe('the last one concerned'),
  detail: z.string(),
});
export type AuditFinding = z.infer<typeof auditFindingSchema>;

export const auditVerificationSchema = z.object({
  ok: z.boolean(),
  at: timeSchema.describe('when it was checked'),
  records: z.int(),
  firstSeq: z.int().nullable(),
  lastSeq: z.int().nullable(),
  head: z.string().describe('hash of the last record'),
  checkpoints: z.int().describe('how many signed checkpoints agree'),
  findings: z.array(auditFindingSchema).describe('the first hundred, in order'),
});
export type AuditVerification = z.infer<typeof auditVerificationSchema>;

export const auditMirrorSchema = z.object({
  name: z.enum(['file', 'syslog']),
  target: z.string(),
  state: z.enum(['current', 'behind', 'failing']),
  sentSeq: z.int().describe('the last record that it was given'),
  behind: z.int().describe('records that it still has to get'),
  error: z.string().nullable(),
});

export const auditStatusSchema = z.object({
  state: z.enum(['recording', 'unavailable']),
  reason: z.string().nullable().describe('why nothing can be recorded'),
  head: z.object({ seq: z.int(), hash: z.string() }),
  firstSeq: z.int().describe('older records were removed for their age'),
  chain: z.string().describe('id of this chain: the fingerprint of its key'),
  publicKey: z.string().describe('Ed25519 key of the checkpoints, PEM'),
  checkpoint: z
    .object({ seq: z.int(), hash: z.string(), at: timeSchema, signature: z.string() })
    .nullable()
    .describe('the newest'),
  verification: auditVerificationSchema.nullable().describe('the last check by hyperd itself'),
  isVerifying: z.boolean(),
  mirrors: z.array(auditMirrorSchema),
  settings: z
    .object({
      retentionDays: z.int(),
      legalHold: z.boolean(),
      requireMirror: z.boolean(),
      mirrorAlarm: z.int(),
      breakGlass: z.boolean(),
      configFile: z.string().describe('where they are set, below `audit`; hyperd reads it when it starts'),
    })
    .describe('no request changes them: who took over a session cannot shorten what is kept of it'),
});
export type AuditStatus = z.infer<typeof auditStatusSchema>;

const filters = {
  actor: z.string().max(200).optional().describe('name or id of who did it'),
  action: z.string().max(200).optional(),
  objectId: z.string().max(256).optional(),
  project: z.string().max(200).optional(),
  outcome: z.enum(AUDIT_OUTCOMES).optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
  text: z.string().max(200).optional().describe('anywhere in the record, letters of either case'),
};

const ref = z.object({ id: z.string().max(60).describe('place in the chain, or id of the record') });

export const evidenceSchema = z.object({
  /** The exact text that is signed. */
  document: z.string(),
  signature: z.string().describe('Ed25519 over the document, base64'),
  publicKey: z.string(),
  summary: z.string().describe('the same for people, as Markdown'),
});

export const auditRoutes = defineRoutes({
  'GET /audit': {
    summary: 'Who did what, newest first',
    permission: 'audit.read',
    query: z.object({ ...pageQuery, ...filters }),
    response: z.object({
      items: z.array(auditRecordSchema),
      next: z
        .string()
        .nullable()
        .describe('cursor of the following page; a page may be short, or empty, and still have one'),
      total: z.int().nullable().describe('null = more than was looked at'),
    }),
  },
  'GET /audit/records/{id}': {
    summary: 'Show one record with its place in the chain',
    permission: 'audit.read',
    params: ref,
    response: z.object({
      record: auditRecordSchema,
      line: z.string().describe('as it is exported; its bytes are what is hashed'),
      prev: z.string().describe('hash of the record before'),
      isWhole: z.boolean().describe('its hash fits its bytes, and the record before it'),
      checkpointSeq: z.int().nullable().describe('the first signed checkpoint that covers it'),
    }),
  },
  'GET /audit/status': {
    summary: 'The head of the chain, its last check, and the mirrors',
    permission: 'audit.read',
    response: auditStatusSchema,
  },
  'POST /audit/verify': {
    summary: 'Check the whole chain in the background',
    permission: 'audit.read',
    changesNothing: true,
    response: auditStatusSchema,
  },
  'GET /audit/export': {
    summary: 'All records that fit, oldest first, as a stream; jsonl without filters can be verified offline',
    permission: 'audit.export',
    query: z.object({ format: z.enum(AUDIT_FORMATS).default('jsonl'), ...filters }),
    raw: 'bytes',
  },
  'GET /audit/evidence': {
    summary: 'Which settings help with which control, and what shows it; signed',
    permission: 'audit.read',
    response: evidenceSchema,
  },
});
