/** Records in ArcSight's Common Event Format, version 0: one line each. Source of the escapes: "Implementing ArcSight Common Event Format",
 *  section "Character Encoding". */

import type { AuditRecord } from '#contract/audit.ts';

const SEVERITY: Readonly<Record<string, number>> = {
  denied: 7,
  failed: 6,
  unknown: 8,
  invalid: 5,
  cancelled: 3,
  done: 3,
};

const header = (text: string) => text.replace(/[\r\n]+/g, ' ').replace(/[\\|]/g, '\\$&');
const extension = (text: string) => text.replace(/[\\=]/g, '\\$&').replace(/\r\n|\r|\n/g, '\\n');

export function cefLine(record: AuditRecord, version: string): string {
  const outcome = record.outcome ?? 'intent';
  const fields: readonly (readonly [string, unknown])[] = [
    ['rt', Date.parse(record.at)],
    ['externalId', record.seq],
    ['act', record.action],
    ['outcome', outcome],
    ['reason', record.code],
    ['suser', record.actor],
    ['suid', record.actorId],
    ['src', record.address],
    ['cs1Label', 'object'],
    ['cs1', [record.objectType, record.objectId, record.objectName].filter((part) => part !== null).join(' ') || null],
    ['cs2Label', 'project'],
    ['cs2', record.project],
    ['cs3Label', 'via'],
    ['cs3', [record.via, record.method].filter((part) => part !== null).join(' ')],
    ['cs4Label', 'request'],
    ['cs4', record.requestId],
    ['cs5Label', 'params'],
    ['cs5', record.params === null || record.params === undefined ? null : JSON.stringify(record.params)],
    ['cs6Label', 'hash'],
    ['cs6', record.hash],
    ['cn1Label', 'durationMs'],
    ['cn1', record.durationMs],
  ];
  const known = fields.filter(
    ([name, value], index) =>
      value !== null && value !== undefined && !(name.endsWith('Label') && (fields[index + 1]?.[1] ?? null) === null),
  );
  const text = known.map(([name, value]) => `${name}=${extension(String(value))}`).join(' ');
  const title = `${record.phase}: ${record.action}`;
  return `CEF:0|Hyper-NixOS|hyperd|${header(version)}|${header(record.action)}|${header(title)}|${SEVERITY[outcome] ?? 3}|${text}\n`;
}
