/** An open repository: everything that can be done with it, for the rest of the slice. */

import { AppError, hasErrno } from '#kernel/errors.ts';
import { type CheckOptions, type CheckReport, check } from './check.ts';
import { type CopyOptions, type CopyReport, copyPoints } from './copy.ts';
import {
  type CopyCheckReport,
  type CopyPruneOptions,
  type CopyPruneResult,
  checkCopy,
  pruneCopy,
} from './copy-upkeep.ts';
import { type Core, needHere, needKey } from './core.ts';
import { readDamage } from './damage.ts';
import { createDiskImage, type DiskImage } from './disk-image.ts';
import { type Lease, takeLease } from './lease.ts';
import type { Manifest } from './manifest.ts';
import { ObjectDamage } from './object.ts';
import { createObjectReader } from './objects.ts';
import type { Place } from './place.ts';
import { findManifest, type ManifestFile, manifestFiles, readManifest } from './points.ts';
import type { Pool } from './pool.ts';
import { type PruneOptions, type PruneResult, prune, removePoints } from './prune.ts';
import { type RepairOptions, type RepairReport, type RepairSource, repair, takeSettings } from './repair.ts';
import type { Settings } from './settings.ts';
import { openWriter, type RepositoryWriter } from './writer.ts';

/** One restore point as it lies there. */
export interface PointEntry {
  readonly vm: string;
  readonly pointId: string;
  readonly seq: number;
  /** Null when it cannot be read. */
  readonly manifest: Manifest | null;
  /** point_damaged: the manifest cannot be read, or the last check missed something that has not come back. */
  readonly problem: AppError | null;
}

/** The documents of one point. */
export interface PointDocuments {
  readonly manifest: Manifest;
  /** @throws AppError point_not_found, point_damaged */
  read(name: string): Promise<Buffer>;
  close(): Promise<void>;
}

export interface Repository {
  readonly id: string;
  readonly createdAt: string;
  readonly chunkSizeBytes: number;
  readonly compression: Settings['compression'];
  readonly isEncrypted: boolean;
  /** False for an encrypted one that was opened without its key: points, prune and a check of digests go without. */
  readonly hasKey: boolean;
  /** @param options.host for people who wonder who holds a lock @throws AppError key_needed, no_space */
  writer(options?: { readonly host?: string }): Promise<RepositoryWriter>;
  /** All restore points, by VM and in the order of their making, read from the files. */
  points(vm?: string): AsyncIterable<PointEntry>;
  /** The last restore points of a VM, the newest first. */
  newestPoints(vm: string, count: number): AsyncIterable<PointEntry>;
  /** Those that are states of hosts, in the same order. One manifest of each folder tells what the others are: far less is read. */
  states(): AsyncIterable<PointEntry>;
  /** @throws AppError point_not_found, point_damaged when its manifest cannot be read */
  point(pointId: string): Promise<Manifest>;
  /** Opens a disk for reading and pins its point until it is closed.
   *  @param options.isReadOnce nothing is kept at hand for a second reading of the same place
   *  @throws AppError point_not_found, point_damaged, key_needed */
  openDisk(pointId: string, target: string, options?: { readonly isReadOnce?: boolean }): Promise<DiskImage>;
  /** A document of a point. @throws AppError point_not_found, point_damaged, key_needed */
  readBlob(pointId: string, name: string): Promise<Buffer>;
  /** Opens a point for reading many of its documents, and pins it until it is closed.
   *  @throws AppError point_not_found, point_damaged, key_needed */
  openDocuments(pointId: string): Promise<PointDocuments>;
  /** Keeps a point from being pruned until it is released or this process ends. @throws AppError point_not_found */
  pin(pointId: string): Promise<{ release(): Promise<void> }>;
  check(options?: CheckOptions): Promise<CheckReport>;
  prune(options: PruneOptions): Promise<PruneResult>;
  /** Deletes points and nothing that they needed: that goes with the next prune. @returns those that are in use and stay
   *  @throws AppError repository_locked */
  remove(pointIds: readonly string[]): Promise<readonly string[]>;
  /** Fetches what is bad here from a second repository. */
  repair(from: Repository, options?: RepairOptions): Promise<RepairReport>;
  /** What `repair` of another repository takes from this one. */
  repairSource(): RepairSource;
  /** As empty as it is, it becomes the copy of another one. It has to be opened anew then.
   *  @throws AppError copy_of_another, repository_elsewhere */
  becomeCopyOf(source: Repository): Promise<void>;
  /** Brings restore points to another place. */
  copyTo(place: Place, options?: CopyOptions): Promise<CopyReport>;
}

/** A repository that lies at another place: read like any other, and kept as a copy. */
export interface PlacedRepository extends Repository {
  /** Deletes points there. @param near the repository that it is a copy of, for what can be read from it */
  pruneThere(near: Repository | null, options: CopyPruneOptions): Promise<CopyPruneResult>;
  /** Checks it and brings anew what is damaged. @param near null = it is only told */
  checkThere(near: Repository | null, options?: CheckOptions): Promise<CopyCheckReport>;
  /** Lets the connection go; the next use opens it again. */
  close(): Promise<void>;
}

export function placedRepositoryOf(core: Core, place: Place): PlacedRepository {
  return {
    ...repositoryOf(core),
    pruneThere: (near, options) => pruneCopy(core, place, near?.repairSource().core ?? null, options),
    close: place.close,
    checkThere: (near, options = {}) => checkCopy(core, place, near?.repairSource().core ?? null, options),
  };
}

export function repositoryOf(core: Core): Repository {
  const { layout, settings } = core;
  const read = async (pointId: string) => (await readManifest(core, await findManifest(layout, pointId))).manifest;

  return {
    id: settings.id,
    createdAt: settings.createdAt,
    chunkSizeBytes: settings.chunkSizeBytes,
    compression: settings.compression,
    isEncrypted: core.isEncrypted,
    hasKey: core.keys !== null,
    async writer(options = {}) {
      needHere(core);
      return openWriter(core, options.host);
    },
    async *points(vm) {
      for (const file of await manifestFiles(layout, vm)) {
        const entry = await entryOf(core, file);
        if (entry) yield entry;
      }
    },
    async *newestPoints(vm, count) {
      for (const file of (await manifestFiles(layout, vm)).slice(-count).reverse()) {
        const entry = await entryOf(core, file);
        if (entry) yield entry;
      }
    },
    async *states() {
      const folders = Map.groupBy(await manifestFiles(layout), ({ vm }) => vm);
      for (const files of folders.values()) {
        const entries: PointEntry[] = [];
        for (const file of files) {
          const entry = await entryOf(core, file);
          if (entry?.manifest?.kind === 'vm') break;
          if (entry) entries.push(entry);
        }
        if (entries.some(({ manifest }) => manifest?.kind === 'state')) yield* entries;
      }
    },
    point: read,
    async openDisk(pointId, target, { isReadOnce = false } = {}) {
      needKey(core);
      const lease = await pinned(core, pointId);
      const threads = core.threads.acquire({ isWaitedFor: isReadOnce });
      const close = async () => {
        await threads.release();
        await lease?.release();
      };
      try {
        const disk = (await read(pointId)).disks.find((each) => each.target === target);
        if (!disk) throw new AppError('point_not_found', { detail: `Restore point ${pointId} has no disk ${target}.` });
        const objects = createObjectReader({
          layout,
          pool: threads.pool,
          chunkSizeBytes: settings.chunkSizeBytes,
          isKeyMissing: false,
        });
        return createDiskImage({
          pointId,
          disk,
          chunkSizeBytes: settings.chunkSizeBytes,
          objects,
          isReadOnce,
          close: once(close),
        });
      } catch (error) {
        await close();
        throw error;
      }
    },
    async readBlob(pointId, name) {
      needKey(core);
      const manifest = await read(pointId);
      const threads = core.threads.acquire();
      try {
        return await readDocument(core, threads.pool, manifest, name);
      } finally {
        await threads.release();
      }
    },
    async openDocuments(pointId) {
      needKey(core);
      const lease = await pinned(core, pointId);
      const threads = core.threads.acquire();
      const close = once(async () => {
        await threads.release();
        await lease?.release();
      });
      try {
        const manifest = await read(pointId);
        return { manifest, read: (name) => readDocument(core, threads.pool, manifest, name), close };
      } catch (error) {
        await close();
        throw error;
      }
    },
    async pin(pointId) {
      if (layout.isElsewhere) {
        // What is deleted there is deleted by us, and never while an operation reads it.
        await findManifest(layout, pointId);
        return { release: async () => undefined };
      }
      const lease = await takePin(core, pointId);
      return { release: () => lease.release() };
    },
    check: (options) => check(core, options),
    async prune(options) {
      needHere(core);
      return prune(core, options);
    },
    async repair(from, options) {
      needHere(core);
      return repair(core, from.repairSource(), options);
    },
    async remove(pointIds) {
      needHere(core);
      return removePoints(core, pointIds);
    },
    repairSource: () => ({ core }),
    async becomeCopyOf(source) {
      needHere(core);
      await takeSettings(core, source.repairSource().core);
    },
    copyTo: (place, options) => copyPoints(core, place, options),
  };
}

/** @throws AppError point_not_found, point_damaged */
async function readDocument(core: Core, pool: Pool, { id: point, blobs }: Manifest, name: string): Promise<Buffer> {
  const id = blobs[name];
  if (id === undefined)
    throw new AppError('point_not_found', { detail: `Restore point ${point} has no document "${name}".` });
  const { layout, chunkSizeBytes } = core;
  try {
    return await createObjectReader({ layout, pool, chunkSizeBytes, isKeyMissing: false }).read('blob', id);
  } catch (cause) {
    if (!(cause instanceof ObjectDamage)) throw cause;
    throw new AppError('point_damaged', {
      detail: `The document "${name}" of restore point ${point} is damaged: ${cause.message}.`,
      params: { point, blob: name },
      cause,
    });
  }
}

async function entryOf(core: Core, file: ManifestFile): Promise<PointEntry | null> {
  const { vm, pointId, seq } = file;
  try {
    const { manifest } = await readManifest(core, file);
    const damage = await readDamage(core.layout, pointId);
    const first = damage?.places[0];
    const problem = damage
      ? new AppError('point_damaged', {
          detail: `The last check found ${damage.count} damaged places in restore point ${pointId}${first?.target ? `, the first in disk ${first.target} at byte ${first.offsetBytes}` : ''}.`,
          params: { point: pointId, count: damage.count, places: damage.places },
        })
      : null;
    return { vm, pointId, seq, manifest, problem };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    // Pruned between the listing and now.
    if (error.code === 'point_not_found') return null;
    return { vm, pointId, seq, manifest: null, problem: error };
  }
}

/** A repository on a file system that cannot be written is not pruned either. */
async function pinned(core: Core, pointId: string): Promise<Lease | null> {
  if (core.layout.isElsewhere) return null;
  try {
    return await takePin(core, pointId);
  } catch (error) {
    if (hasErrno(error, 'EROFS')) return null;
    throw error;
  }
}

async function takePin(core: Core, pointId: string): Promise<Lease> {
  const lease = await takeLease(core.layout, 'export');
  try {
    await lease.pin(pointId, async () => (await manifestFiles(core.layout)).some((file) => file.pointId === pointId));
    return lease;
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** The pool counts its users: a second close must not count twice. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => {
    done ??= work();
    return done;
  };
}
