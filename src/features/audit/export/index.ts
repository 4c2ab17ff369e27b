/** The audit log as a stream of text in one of four formats, in constant memory: the reader of the stream sets the pace. */

import { Readable } from 'node:stream';
import type { AuditFormat, AuditRecord } from '#contract/audit.ts';
import { chainLine, headerLine, statementLine } from '#contract/audit-chain.ts';
import { viewOfBody } from '../body.ts';
import type { AuditFilter, Reader, StoredRecord } from '../reader.ts';
import { cefLine } from './cef.ts';
import { CSV_HEAD, csvLine } from './csv.ts';
import { ocsfLine } from './ocsf.ts';

export const EXPORT_TYPES: Readonly<Record<AuditFormat, { readonly contentType: string; readonly ending: string }>> = {
  jsonl: { contentType: 'application/x-ndjson', ending: 'jsonl' },
  csv: { contentType: 'text/csv; charset=utf-8', ending: 'csv' },
  cef: { contentType: 'text/plain; charset=utf-8', ending: 'cef' },
  ocsf: { contentType: 'application/x-ndjson', ending: 'ocsf.jsonl' },
};

export interface ExportParts {
  readonly reader: Reader;
  readonly publicKey: string;
  readonly version: string;
}

export function exportStream(format: AuditFormat, filter: AuditFilter, parts: ExportParts): Readable {
  return Readable.from(format === 'jsonl' ? chainText(filter, parts) : viewText(format, filter, parts), {
    objectMode: false,
    highWaterMark: 256 * 1024,
  });
}

/** The chain as it is, with its key and checkpoints: what `hv audit verify` reads. */
async function* chainText(filter: AuditFilter, { reader, publicKey }: ExportParts): AsyncGenerator<string> {
  const stub = await reader.stub();
  yield `${headerLine(publicKey)}\n${stub ? `${statementLine(stub)}\n` : ''}`;
  for await (const rows of reader.slices(filter)) {
    const [first, last] = [rows[0], rows.at(-1)];
    if (!first || !last) continue;
    const signed = new Map(
      (await reader.checkpoints(first.seq, last.seq)).map((point) => [point.seq, statementLine(point)]),
    );
    yield rows
      .map((row) => {
        const checkpoint = signed.get(row.seq);
        return checkpoint === undefined ? lineOf(row) : `${lineOf(row)}${checkpoint}\n`;
      })
      .join('');
  }
  // Of records that are not there: what tells of an end that was cut off.
  const { last } = await reader.bounds();
  for (const point of await reader.checkpoints(last + 1, Number.MAX_SAFE_INTEGER)) yield `${statementLine(point)}\n`;
}

const lineOf = ({ body, hash }: StoredRecord): string => `${chainLine(body, hash)}\n`;

async function* viewText(
  format: Exclude<AuditFormat, 'jsonl'>,
  filter: AuditFilter,
  { reader, version }: ExportParts,
): AsyncGenerator<string> {
  const text: Readonly<Record<typeof format, (record: AuditRecord) => string>> = {
    csv: csvLine,
    cef: (record) => cefLine(record, version),
    ocsf: (record) => ocsfLine(record, version),
  };
  const write = text[format];
  if (format === 'csv') yield CSV_HEAD;
  for await (const rows of reader.slices(filter))
    if (rows.length > 0) yield rows.map(({ seq, body, hash }) => write(viewOfBody(seq, body, hash))).join('');
}
