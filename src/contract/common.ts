/** Schemas that several slices share: names, sizes, problems, effects. */

import { z } from 'zod';
import { DEFAULT_PROJECT, NAME_PATTERN, NAME_RULE, RESERVED_NAME_PATTERN } from '#kernel/names.ts';

export { DEFAULT_PROJECT } from '#kernel/names.ts';

/** A name that a user gives. */
export const nameSchema = z
  .string()
  .regex(NAME_PATTERN, `use ${NAME_RULE}`)
  .refine((name) => !RESERVED_NAME_PATTERN.test(name), 'names beginning with p<number>- are reserved for projects');

export const projectIdSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use the id or name of a project')
  .describe('id or name of the project it belongs to')
  .default(DEFAULT_PROJECT);

/** Free text on one or several lines; control characters other than line feed and tab are refused. */
export const textSchema = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing control characters is the purpose
    .regex(/^[^\u0000-\u0008\u000b-\u001f\u007f\ud800-\udfff\ufffe\uffff]*$/u, 'control characters are not allowed');

export const uuidSchema = z
  .string()
  .regex(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'use a UUID in lower case');

export const macSchema = z
  .string()
  .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'use six lower-case pairs, as 52:54:00:12:34:56')
  .refine(
    (mac) => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0,
    'a group (multicast) address cannot be given to a NIC',
  );

export const timeSchema = z.iso.datetime().describe('ISO 8601, UTC');

/** `application/problem+json` (RFC 9457). */
export const problemSchema = z.object({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string().describe('stable, lower snake_case'),
  detail: z.string(),
  hint: z.string().describe('what to do next'),
  fields: z.array(z.object({ path: z.string(), problem: z.string(), mend: z.string() })).optional(),
  params: z.record(z.string(), z.unknown()).optional(),
  requestId: z.string(),
});
export type Problem = z.infer<typeof problemSchema>;

/** When a change takes hold. */
export const effectSchema = z.enum(['live', 'next_boot', 'restart', 'destroys_data']);
export type Effect = z.infer<typeof effectSchema>;

export const checkStatusSchema = z.enum(['ok', 'warn', 'fail', 'unknown']);
export type CheckStatus = z.infer<typeof checkStatusSchema>;
