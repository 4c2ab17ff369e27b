/** A record as the bytes that are hashed, and back. The order of the fields is fixed, what is not known is left out, and nothing that could
 *  change how a terminal or a page shows the line stands in it as itself. */

import type { AuditRecord } from '#contract/audit.ts';
import { GENESIS } from '#contract/audit-chain.ts';

/** What the store adds to every record, and readers need beside the view. */
export interface RecordFacts {
  /** Id of this life of the daemon, and its monotonic clock in milliseconds: tells the order when the date leapt. */
  readonly boot: string;
  readonly mono: number;
}

export type RecordView = Omit<AuditRecord, 'hash' | 'seq'>;

/** Longest text that is kept of anything a caller chose. */
const MAX_TEXT = 300;

/** DEL and C1 controls, marks that turn the direction of text, line ends of Unicode, zero-width letters: only ever within JSON strings. */
const UNSAFE = /[\u007f-\u009f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

const clip = (text: string | null | undefined): string | undefined =>
  text === null || text === undefined ? undefined : text.slice(0, MAX_TEXT);

/** All but `v`, `seq` and `prev`, as JSON without its brackets; made before the transaction, so that a value that cannot be written fails
 *  its caller alone. */
export function bodyTail(record: RecordView, { boot, mono }: RecordFacts): string {
  const text = JSON.stringify({
    id: record.id,
    ts: record.at,
    boot,
    mono: Math.round(mono),
    phase: record.phase,
    action: clip(record.action),
    permission: record.permission ?? undefined,
    actor: {
      id: clip(record.actorId),
      name: clip(record.actor),
      method: record.method ?? undefined,
      session: record.sessionId ?? undefined,
    },
    source: { ip: clip(record.address), via: record.via },
    object:
      record.objectType === null && record.objectId === null && record.project === null
        ? undefined
        : {
            type: record.objectType ?? undefined,
            id: clip(record.objectId),
            name: clip(record.objectName),
            project: clip(record.project),
          },
    params: record.params ?? undefined,
    decision: { allow: record.outcome !== 'denied', grant: clip(record.grant) },
    result: record.outcome ?? undefined,
    code: record.code ?? undefined,
    duration_ms: record.durationMs ?? undefined,
    request: clip(record.requestId),
    op: record.operationId ?? undefined,
  });
  return text.slice(1).replace(UNSAFE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The bytes that are hashed. */
export function bodyOf(seq: number, prev: string, tail: string): string {
  return `{"v":1,"seq":${seq},"prev":"${prev}",${tail}`;
}

/** `prev` of a body that `bodyOf` made. */
export function prevOf(body: string): string {
  return /^\{"v":1,"seq":\d+,"prev":"([0-9a-f]{64})"/.exec(body)?.[1] ?? GENESIS;
}

const PHASES: readonly AuditRecord['phase'][] = ['intent', 'outcome'];
const OUTCOMES: readonly NonNullable<AuditRecord['outcome']>[] = [
  'done',
  'failed',
  'cancelled',
  'denied',
  'invalid',
  'unknown',
];

const fieldsOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? { ...value } : {};
const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null);

/** The view of a stored record; a body that is damaged shows what is left of it. */
export function viewOfBody(seq: number, body: string, hash: string): AuditRecord {
  let parsed: unknown = null;
  try {
    parsed = JSON.parse(body);
  } catch {
    // Somebody changed it; the check of the chain says so, and the list still shows that there is a record.
  }
  const record = fieldsOf(parsed);
  const [actor, source, object, decision] = [
    record['actor'],
    record['source'],
    record['object'],
    record['decision'],
  ].map(fieldsOf);
  const duration = record['duration_ms'];
  return {
    id: textOf(record['id']) ?? String(seq),
    at: textOf(record['ts']) ?? new Date(0).toISOString(),
    phase: PHASES.find((phase) => phase === record['phase']) ?? 'outcome',
    outcome: OUTCOMES.find((outcome) => outcome === record['result']) ?? null,
    actor: textOf(actor?.['name']) ?? '?',
    via: textOf(source?.['via']) ?? '?',
    address: textOf(source?.['ip']),
    action: textOf(record['action']) ?? '?',
    permission: textOf(record['permission']),
    objectType: textOf(object?.['type']),
    objectId: textOf(object?.['id']),
    objectName: textOf(object?.['name']),
    requestId: textOf(record['request']),
    operationId: textOf(record['op']),
    code: textOf(record['code']),
    seq,
    hash,
    actorId: textOf(actor?.['id']),
    method: textOf(actor?.['method']),
    sessionId: textOf(actor?.['session']),
    project: textOf(object?.['project']),
    grant: textOf(decision?.['grant']),
    params: record['params'] ?? null,
    durationMs: typeof duration === 'number' ? duration : null,
  };
}
