/** Upkeep of a copy at another place: restore points that need not stay there go, with what only they need; what a check found damaged is
 *  brought anew. Whoever calls sees to it that nobody copies there meanwhile. */

import { basename } from 'node:path';
import { type CheckOptions, type CheckReport, checkUnder } from './check.ts';
import { distinctBlobs, distinctPages, inBatches, pageDamaged, usedIds, visitChunks } from './contents.ts';
import { type Core, needKey } from './core.ts';
import { isObjectId } from './layout.ts';
import { checkedObject, ObjectDamage, type ObjectKind } from './object.ts';
import { createObjectReader, MAX_BLOB_BYTES, MOST_AROUND_BYTES, type ObjectReader, readObjectFile } from './objects.ts';
import type { Place, PlaceFile } from './place.ts';
import { type ManifestFile, manifestFiles, readManifest } from './points.ts';

export interface CopyPruneOptions {
  /** Points to delete. */
  readonly remove: readonly string[];
  /** Objects younger than this stay; another host may be about to name them. 24 h. */
  readonly graceMs?: number;
  readonly signal?: AbortSignal;
}

export interface CopyPruneResult {
  readonly removedPoints: readonly string[];
  /** The place does not let them go yet. */
  readonly lockedPoints: readonly string[];
  readonly sweptObjects: number;
  readonly sweptBytes: number;
  readonly lockedObjects: number;
  readonly lockedBytes: number;
  readonly keptObjects: number;
  readonly keptBytes: number;
}

const GRACE_MS = 24 * 3_600_000;
const OBJECTS_AT_ONCE = 8;

/** @param core the copy, opened there
 *  @param near the repository that it is a copy of, if it is at hand: its pages are nearer
 *  @throws AppError point_damaged when it cannot be told what is in use: then no object is deleted */
export async function pruneCopy(
  core: Core,
  place: Place,
  near: Core | null,
  { remove, graceMs = GRACE_MS, signal }: CopyPruneOptions,
): Promise<CopyPruneResult> {
  const startedMs = Date.now();
  const [there, here] = [core.threads.acquire(), near?.threads.acquire() ?? null];
  try {
    const objects = nearest(
      readerOf(core, there.pool),
      near && here && near.settings.id === core.settings.id ? readerOf(near, here.pool) : null,
    );
    const { removed, locked, stay } = await removePoints(core, place, remove);
    const sums = { sweptObjects: 0, sweptBytes: 0, lockedObjects: 0, lockedBytes: 0, keptObjects: 0, keptBytes: 0 };
    const pages = await distinctPages(core, stay);
    const blobs = await distinctBlobs(core, stay);
    const ranges = usedIds(core.layout, null, async (visit) => {
      for (const id of [...pages, ...blobs]) visit(id, 0);
      await visitChunks({
        objects,
        pages,
        visit,
        onDamage: (id, damage) => {
          throw pageDamaged(id, damage);
        },
        signal,
      });
    });
    for await (const { low, high, ids } of ranges)
      for await (const { path, sizeBytes, modifiedMs } of filesOf(place, core.layout.chunks, low, high)) {
        signal?.throwIfAborted();
        const id = basename(path);
        if (!isObjectId(id) || core.layout.object(id) !== path) continue;
        const bytes = Buffer.from(id, 'hex');
        const prefix = bytes.readUInt16BE(0);
        if (prefix < low || prefix >= high) continue;
        const isWanted = ids.has(bytes) || modifiedMs > startedMs - graceMs;
        const fate = isWanted ? 'kept' : (await place.remove(path)) === 'removed' ? 'swept' : 'locked';
        sums[`${fate}Objects`] += 1;
        sums[`${fate}Bytes`] += sizeBytes;
      }
    return { removedPoints: removed, lockedPoints: locked, ...sums };
  } finally {
    await there.release();
    await here?.release();
  }
}

/** One walk for all, or one for each first byte of the range: whatever the ranges are, each file is seen once. */
async function* filesOf(place: Place, chunks: string, low: number, high: number): AsyncGenerator<PlaceFile> {
  if (low === 0 && high === 0x10000) return yield* place.walk(chunks);
  for (let first = low >> 8; first <= (high - 1) >> 8; first += 1)
    yield* place.walk(`${chunks}/${first.toString(16).padStart(2, '0')}`);
}

async function removePoints(core: Core, place: Place, remove: readonly string[]) {
  const files = await manifestFiles(core.layout);
  // One that cannot be read ends this before anything is deleted.
  for (const file of files) if (!remove.includes(file.pointId)) await readManifest(core, file);
  const [removed, locked]: [string[], string[]] = [[], []];
  const stay: ManifestFile[] = [];
  for (const file of files) {
    if (!remove.includes(file.pointId)) stay.push(file);
    else if ((await place.remove(file.path)) === 'removed') removed.push(file.pointId);
    else {
      locked.push(file.pointId);
      stay.push(file);
    }
  }
  return { removed, locked, stay };
}

export interface CopyCheckReport extends CheckReport {
  /** Objects that were brought anew. */
  readonly healedObjects: number;
}

/** Checks the copy and brings anew what is missing or damaged, as far as it is whole here.
 *  @param near null = it is only told what is wrong */
export async function checkCopy(
  core: Core,
  place: Place,
  near: Core | null,
  options: CheckOptions,
): Promise<CopyCheckReport> {
  if (near) needKey(core);
  const { report, bad } = await checkUnder(core, null, options);
  if (!near || report.problemCount === 0) return { ...report, healedObjects: 0 };
  let healedObjects = 0;
  for (const kind of ['page', 'blob', 'chunk'] satisfies ObjectKind[])
    await inBatches(bad[kind], OBJECTS_AT_ONCE, async (id) => {
      options.signal?.throwIfAborted();
      const bytes = await soundObject(near, id);
      if (!bytes) return;
      await place.write(core.layout.object(id), bytes);
      healedObjects += 1;
    });
  if (healedObjects === 0) return { ...report, healedObjects };
  const { report: after } = await checkUnder(core, null, options);
  return { ...after, healedObjects };
}

async function soundObject({ layout, settings }: Core, id: string): Promise<Buffer | null> {
  try {
    const maxBytes = Math.max(settings.chunkSizeBytes, MAX_BLOB_BYTES) + MOST_AROUND_BYTES;
    const bytes = await readObjectFile(layout.files, layout.object(id), maxBytes);
    checkedObject(bytes);
    return bytes;
  } catch (error) {
    if (error instanceof ObjectDamage) return null;
    throw error;
  }
}

const readerOf = (core: Core, pool: ReturnType<Core['threads']['acquire']>['pool']): ObjectReader =>
  createObjectReader({
    layout: core.layout,
    pool,
    chunkSizeBytes: core.settings.chunkSizeBytes,
    isKeyMissing: core.isEncrypted && !core.keys,
  });

function nearest(far: ObjectReader, near: ObjectReader | null): ObjectReader {
  if (!near) return far;
  return {
    ...far,
    async read(kind, id) {
      try {
        return await near.read(kind, id);
      } catch (error) {
        if (!(error instanceof ObjectDamage)) throw error;
        return await far.read(kind, id);
      }
    },
  };
}
