/** A manifest: the table of contents of one restore point, whole in itself. It names no other point that would be needed to read it. */

import { z } from 'zod';
import { ID_BYTES } from './object.ts';

/** Ids in one page, whatever the size of chunks. */
export const IDS_PER_PAGE = 4096;
export const PAGE_BYTES = IDS_PER_PAGE * ID_BYTES;

export const idSchema = z.string().regex(/^[0-9a-f]{64}$/);
const timeSchema = z.iso.datetime();

/** What a disk's writer counted. Bytes of the guest, but for `storedBytes`: what the repository grew by. */
export const diskStatsSchema = z.object({
  receivedBytes: z.number(),
  newBytes: z.number(),
  duplicateBytes: z.number(),
  zeroBytes: z.number(),
  storedBytes: z.number(),
});
export type DiskStats = z.infer<typeof diskStatsSchema>;

/** What the caller says of a disk; the rest comes from its writer. */
const diskFactsSchema = z.object({
  target: z.string().min(1),
  serial: z.string().nullable(),
  format: z.string(),
  mode: z.enum(['incremental', 'full', 'unchanged']),
  parent: z.string().nullable().describe('the restore point it went on from'),
  reason: z.string().nullable().describe('why it was not incremental'),
});

const pointFacts = {
  kind: z.enum(['vm', 'state']).default('vm').describe('state: the state of a host, in documents alone'),
  vm: z.uuid().describe('of a state: the id of its series'),
  project: z.string(),
  host: z.string(),
  op: z.string(),
  startedAt: timeSchema,
  pointInTime: timeSchema,
  finishedAt: timeSchema,
  consistency: z.enum(['agent', 'crash', 'offline']),
  frozenMs: z.number().nullable(),
  checkpoint: z.string().nullable(),
  skipped: z.array(z.object({ target: z.string(), device: z.string(), reason: z.string() })),
  blobs: z.record(z.string(), idSchema),
  guest: z
    .record(z.string(), z.string())
    .nullable()
    .describe('null in encrypted repositories: there it is the blob `guest`'),
  tool: z.record(z.string(), z.string()),
};

export const manifestBodySchema = z.object({ ...pointFacts, disks: z.array(diskFactsSchema) });
/** What `publish` is given. */
export type ManifestBody = z.input<typeof manifestBodySchema>;

export const manifestSchema = z.object({
  v: z.literal(1),
  id: z.string(),
  seq: z.int().min(1),
  prev: z.string().nullable().describe('SHA-256 of the first line of the manifest before it'),
  ...pointFacts,
  chunkSizeBytes: z.int(),
  disks: z.array(
    diskFactsSchema.extend({
      sizeBytes: z.int().min(0),
      pages: z.array(idSchema),
      stats: diskStatsSchema,
    }),
  ),
});
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestDisk = Manifest['disks'][number];

/** How many pages a disk has. */
export function pageCount(sizeBytes: number, chunkSizeBytes: number): number {
  return Math.ceil(Math.ceil(sizeBytes / chunkSizeBytes) / IDS_PER_PAGE);
}
