/** Records as CSV (RFC 4180), one row each. A cell that a spreadsheet would run as a formula gets a `'` before it. */

import type { AuditRecord } from '#contract/audit.ts';

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

/** What spreadsheets take for the beginning of a formula, or for the end of a cell before one. */
const FORMULA = /^[=+\-@\t\r]/;

export function csvCell(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const text = String(value);
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export const CSV_HEAD = `${COLUMNS.map(([name]) => name).join(',')}\r\n`;

export const csvLine = (record: AuditRecord): string =>
  `${COLUMNS.map(([, value]) => csvCell(value(record))).join(',')}\r\n`;
