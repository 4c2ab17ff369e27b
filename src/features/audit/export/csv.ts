/** Records as CSV, one row each. */

import type { AuditRecord } from '#contract/audit.ts';
import { csvCell } from '#kernel/csv.ts';

const COLUMNS: readonly (readonly [name: string, value: (record: AuditRecord) => unknown])[] = [
  ['seq', ({ seq }) => seq],
  ['time', ({ at }) => at],
  ['phase', ({ phase }) => phase],
  ['outcome', ({ outcome }) => outcome],
  ['actor', ({ actor }) => actor],
  ['actor_id', ({ actorId }) => actorId],
  ['method', ({ method }) => method],
  ['via', ({ via }) => via],
  ['address', ({ address }) => address],
  ['action', ({ action }) => action],
  ['permission', ({ permission }) => permission],
  ['grant', ({ grant }) => grant],
  ['object_type', ({ objectType }) => objectType],
  ['object_id', ({ objectId }) => objectId],
  ['object_name', ({ objectName }) => objectName],
  ['project', ({ project }) => project],
  ['code', ({ code }) => code],
  ['duration_ms', ({ durationMs }) => durationMs],
  ['request', ({ requestId }) => requestId],
  ['operation', ({ operationId }) => operationId],
  ['params', ({ params }) => (params === null || params === undefined ? null : JSON.stringify(params))],
  ['hash', ({ hash }) => hash],
];

export const CSV_HEAD = `${COLUMNS.map(([name]) => name).join(',')}\r\n`;

export const csvLine = (record: AuditRecord): string =>
  `${COLUMNS.map(([, value]) => csvCell(value(record))).join(',')}\r\n`;
