/** Records as events of the Open Cybersecurity Schema Framework 1.3, one JSON line each: sign-ins are 3002 Authentication, changes of users
 *  and their keys 3001 Account Change, grants, tokens and step-ups 3003 Authorize Session, and everything else is 6003 API Activity. */

import type { AuditRecord } from '#contract/audit.ts';

interface EventClass {
  readonly uid: number;
  readonly name: string;
  readonly category: number;
  readonly categoryName: string;
}

const IAM = { category: 3, categoryName: 'Identity & Access Management' };
const ACCOUNT_CHANGE: EventClass = { uid: 3001, name: 'Account Change', ...IAM };
const AUTHENTICATION: EventClass = { uid: 3002, name: 'Authentication', ...IAM };
const AUTHORIZE_SESSION: EventClass = { uid: 3003, name: 'Authorize Session', ...IAM };
const API_ACTIVITY: EventClass = { uid: 6003, name: 'API Activity', category: 6, categoryName: 'Application Activity' };

/** By path; the first that fits. */
const CLASSES: readonly (readonly [RegExp, EventClass])[] = [
  [
    /^\w+ \/(auth|access)\/(step-up|tokens|links|grants|roles|sessions)|^\w+ \/(tokens|grants|roles|sessions)(\/|$)/,
    AUTHORIZE_SESSION,
  ],
  [/^\w+ \/auth\//, AUTHENTICATION],
  [/^\w+ \/(access\/)?(users|groups|keys|passkeys|me)(\/|$)/, ACCOUNT_CHANGE],
];

export function ocsfClass(action: string): EventClass {
  return CLASSES.find(([pattern]) => pattern.test(action))?.[1] ?? API_ACTIVITY;
}

/** Create, read, update, delete, else other. */
const API_VERBS: Readonly<Record<string, number>> = { POST: 1, GET: 2, PATCH: 3, PUT: 3, DELETE: 4 };
const OTHER = 99;

function activityOf(record: AuditRecord, { uid }: EventClass): number {
  const [method = ''] = record.action.split(' ');
  if (uid === AUTHENTICATION.uid) return /logout/.test(record.action) ? 2 : 1;
  if (uid === AUTHORIZE_SESSION.uid) return method === 'POST' || method === 'PUT' ? 1 : OTHER;
  if (uid === ACCOUNT_CHANGE.uid) return method === 'POST' ? 1 : method === 'DELETE' ? 6 : OTHER;
  return API_VERBS[method] ?? OTHER;
}

const SUCCESS = 1;
const FAILURE = 2;

function statusOf({ outcome }: AuditRecord): number {
  if (outcome === null || outcome === 'unknown') return 0;
  return outcome === 'done' ? SUCCESS : FAILURE;
}

export function ocsfLine(record: AuditRecord, version: string): string {
  const kind = ocsfClass(record.action);
  const activity = activityOf(record, kind);
  const user = { name: record.actor, uid: record.actorId ?? undefined, type_id: record.actor === 'system' ? 3 : 0 };
  const session = record.sessionId === null ? undefined : { uid: record.sessionId };
  const isFailure = statusOf(record) === FAILURE;
  return `${JSON.stringify({
    category_uid: kind.category,
    category_name: kind.categoryName,
    class_uid: kind.uid,
    class_name: kind.name,
    activity_id: activity,
    type_uid: kind.uid * 100 + activity,
    time: Date.parse(record.at),
    severity_id: isFailure ? 3 : 1,
    status_id: statusOf(record),
    status: record.outcome ?? record.phase,
    status_code: record.code ?? undefined,
    duration: record.durationMs ?? undefined,
    user: kind === API_ACTIVITY ? undefined : user,
    session: kind === API_ACTIVITY ? undefined : (session ?? {}),
    actor: { user, session },
    src_endpoint: record.address === null ? { name: record.via } : { ip: record.address },
    api: { operation: record.action, request: { uid: record.requestId ?? record.id } },
    resources:
      record.objectId === null && record.objectName === null
        ? undefined
        : [
            {
              type: record.objectType ?? undefined,
              uid: record.objectId ?? undefined,
              name: record.objectName ?? undefined,
              namespace: record.project ?? undefined,
            },
          ],
    metadata: {
      version: '1.3.0',
      uid: record.id,
      sequence: record.seq,
      product: { name: 'Hyper-NixOS', vendor_name: 'Hyper-NixOS', version },
    },
    unmapped: {
      phase: record.phase,
      via: record.via,
      method: record.method ?? undefined,
      permission: record.permission ?? undefined,
      grant: record.grant ?? undefined,
      operation: record.operationId ?? undefined,
      params: record.params ?? undefined,
      hash: record.hash,
    },
  })}\n`;
}
