/** A record of what the audit log does by itself. */

import type { AuditEntry } from './writer.ts';

export const systemEntry = (action: string, params: Readonly<Record<string, unknown>>): AuditEntry => ({
  phase: 'outcome',
  outcome: 'done',
  actor: 'system',
  via: 'system',
  address: null,
  action,
  permission: null,
  objectType: null,
  objectId: null,
  objectName: null,
  requestId: null,
  operationId: null,
  code: null,
  params,
});
