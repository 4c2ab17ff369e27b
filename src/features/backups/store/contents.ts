/** What the restore points of a repository are made of: the ids in their pages, each page read once. */

import { tmpdir } from 'node:os';
import { mapLimit } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
import { temporaryName } from './files.ts';
import { type IdRange, idRanges, type ScanIds } from './id-ranges.ts';
import { IdSet } from './id-set.ts';
import type { Layout } from './layout.ts';
import type { Lease } from './lease.ts';
import { IDS_PER_PAGE, type Manifest } from './manifest.ts';
import { ID_BYTES, ObjectDamage, ZERO_ID } from './object.ts';
import type { ObjectReader } from './objects.ts';
import { type ManifestFile, type ManifestReading, readManifest } from './points.ts';

/** 17 MiB of slots, and half of that again while the set grows: 256 GiB of chunks that all differ. */
const MAX_IDS_AT_ONCE = 250_000;
const PAGES_AT_ONCE = 4;

/** Ids that `scan` tells, each once; scratch is written below `tmp` of the repository that `lease` is of.
 *  @param lease null for a repository elsewhere: then it is written where this host keeps such things
 *  @param maxIds that are held in memory at once */
export const usedIds = (
  { tmp }: Layout,
  lease: Pick<Lease, 'token'> | null,
  scan: ScanIds,
  maxIds = MAX_IDS_AT_ONCE,
): AsyncGenerator<IdRange> =>
  idRanges({ maxIds, scratch: lease ? temporaryName(tmp, lease.token) : temporaryName(tmpdir(), 'hyper-copy') }, scan);

/** Every page id of these points but that of zeros, each once. */
export async function distinctPages(reading: ManifestReading, files: readonly ManifestFile[]): Promise<IdSet> {
  const pages = new IdSet();
  for (const file of files) for (const id of pageIdsOf((await readManifest(reading, file)).manifest)) pages.add(id);
  return pages;
}

/** Ids of the documents of these points, each once. */
export async function distinctBlobs(reading: ManifestReading, files: readonly ManifestFile[]): Promise<IdSet> {
  const blobs = new IdSet();
  for (const file of files)
    for (const id of Object.values((await readManifest(reading, file)).manifest.blobs))
      blobs.add(Buffer.from(id, 'hex'));
  return blobs;
}

function* pageIdsOf({ disks }: Manifest): Generator<Buffer> {
  for (const { pages } of disks)
    for (const page of pages) {
      const id = Buffer.from(page, 'hex');
      if (!id.equals(ZERO_ID)) yield id;
    }
}

/** Reads each page and tells the chunk ids in it, zeros left out.
 *  @param onDamage called instead of failing for a page that cannot be used */
export async function visitChunks(options: {
  readonly objects: ObjectReader;
  readonly pages: Iterable<Buffer>;
  readonly visit: (bytes: Buffer, offset: number) => void;
  readonly onDamage: (id: string, damage: ObjectDamage) => void;
  readonly signal?: AbortSignal | undefined;
}): Promise<void> {
  const { objects, pages, visit, onDamage, signal } = options;
  let batch: string[] = [];
  const work = async () => {
    signal?.throwIfAborted();
    const ids = batch;
    batch = [];
    await mapLimit(ids, PAGES_AT_ONCE, async (id) => {
      let page: Buffer;
      try {
        page = await objects.read('page', id);
      } catch (error) {
        if (!(error instanceof ObjectDamage)) throw error;
        onDamage(id, error);
        return;
      }
      for (let slot = 0; slot < IDS_PER_PAGE; slot += 1)
        if (!isZeroAt(page, slot * ID_BYTES)) visit(page, slot * ID_BYTES);
    });
  };
  for (const id of pages) {
    batch.push(id.toString('hex'));
    if (batch.length >= 64) await work();
  }
  await work();
}

/** Hex ids, some at once, however many there are. */
export async function inBatches(
  ids: Iterable<Buffer>,
  atOnce: number,
  work: (id: string) => Promise<void>,
): Promise<void> {
  let batch: string[] = [];
  for (const id of ids) {
    batch.push(id.toString('hex'));
    if (batch.length < 256) continue;
    await mapLimit(batch, atOnce, work);
    batch = [];
  }
  await mapLimit(batch, atOnce, work);
}

/** For who needs all pages to be good. */
export function pageDamaged(id: string, cause: ObjectDamage): AppError {
  return new AppError('point_damaged', {
    detail: `A page of a restore point is damaged (${cause.message}), so it is not known what is in use.`,
    hint: 'Check the repository: it names the restore points. Repair it from a second copy or delete these points, then prune.',
    params: { object: id },
    cause,
  });
}

export const isZeroAt = (bytes: Buffer, offset: number) =>
  bytes.compare(ZERO_ID, 0, ID_BYTES, offset, offset + ID_BYTES) === 0;
