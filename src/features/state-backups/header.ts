/** What a state point holds, as its document `state` tells: the table of contents of all its other documents, with their digests. It has
 *  two lines like a manifest, the second with a MAC once there is a recovery key of the state. */

import { createHash } from 'node:crypto';
import { z } from 'zod';

export const HEADER = 'state';
export const SECRETS = 'secrets';

const digestSchema = z.string().regex(/^[0-9a-f]{64}$/);
const documentSchema = z.object({ name: z.string(), sha256: digestSchema });
export type DocumentRef = z.infer<typeof documentSchema>;

export const headerSchema = z.object({
  v: z.literal(1),
  series: z.uuid(),
  host: z.string(),
  version: z.string().describe('of the program that made it'),
  madeAt: z.iso.datetime(),
  repository: z.string().describe('id that the repository has in this state'),
  migrations: z.array(z.object({ slice: z.string(), id: z.string() })),
  tables: z.array(z.object({ name: z.string(), rows: z.int(), parts: z.array(documentSchema) })),
  definitions: z.array(documentSchema).describe('what libvirt knew: VMs, networks, pools'),
  counts: z.object({ vms: z.int() }),
  secrets: documentSchema
    .extend({ isSealed: z.boolean().describe('by the recovery key of the state') })
    .nullable()
    .describe('null = keys stayed on the host'),
  keyId: digestSchema.nullable().describe('tells which recovery key of the state proves and opens it'),
  auditHead: z.object({ seq: z.int(), hash: z.string() }),
});
export type StateHeader = z.infer<typeof headerSchema>;

export const definitionsSchema = z.array(
  z.object({ kind: z.enum(['vm', 'network', 'pool']), id: z.string(), name: z.string(), xml: z.string() }),
);
export type Definitions = z.infer<typeof definitionsSchema>;

export const secretsSchema = z.array(z.object({ path: z.string(), data: z.base64() }));
export type Secrets = z.infer<typeof secretsSchema>;

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
