/** Rows of tables as lines of JSON, to be kept elsewhere and put back: nothing of them depends on SQLite's file format. The first line of
 *  a part names its table and columns, each further one is a row. */

import { z } from 'zod';

/** Integers beyond 2^53 and bytes have no form of their own in JSON. */
const valueSchema = z.union([
  z.null(),
  z.number(),
  z.string(),
  z.strictObject({ integer: z.string().regex(/^-?\d{1,19}$/) }),
  z.strictObject({ bytes: z.base64() }),
]);
const partHeadSchema = z.strictObject({ table: z.string(), columns: z.array(z.string()).min(1) });

export type SqlValue = null | number | bigint | string | Uint8Array;

export interface TableRows {
  readonly table: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly SqlValue[])[];
}

export function encodeRows({ table, columns, rows }: TableRows): Buffer {
  const lines = [JSON.stringify({ table, columns }), ...rows.map((row) => JSON.stringify(row.map(encodeValue)))];
  return Buffer.from(`${lines.join('\n')}\n`);
}

/** @throws z.ZodError, SyntaxError when it is no such part */
export function decodeRows(part: Buffer): TableRows {
  const [head = '', ...lines] = part.toString('utf8').trimEnd().split('\n');
  const { table, columns } = partHeadSchema.parse(JSON.parse(head));
  const rowSchema = z.array(valueSchema).length(columns.length);
  return { table, columns, rows: lines.map((line) => rowSchema.parse(JSON.parse(line)).map(decodeValue)) };
}

function encodeValue(value: SqlValue) {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : { integer: String(value) };
}

function decodeValue(value: z.infer<typeof valueSchema>): SqlValue {
  if (value === null || typeof value === 'string') return value;
  // SQLite makes a real number of it where the column holds those.
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  return 'integer' in value ? BigInt(value.integer) : Buffer.from(value.bytes, 'base64');
}
