/** Brings restore points to another place: what their manifests name and the place does not hold, read back there, and the manifest last.
 *  So a point is there as a whole or not at all, and a copy that was cut off goes on with what is missing. Objects are taken as they lie:
 *  sealed ones stay sealed, and no key is needed. */

import { dirname } from 'node:path';
import { mapLimit } from '#kernel/async.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { isZeroAt, usedIds } from './contents.ts';
import { holdCopy } from './copy-holds.ts';
import type { Core } from './core.ts';
import { UnfitFile } from './files.ts';
import { type Layout, layoutOf } from './layout.ts';
import { type Lease, takeLease } from './lease.ts';
import { IDS_PER_PAGE, type Manifest } from './manifest.ts';
import { checkedObject, ID_BYTES, ObjectDamage, ZERO_ID } from './object.ts';
import { createObjectReader, MAX_BLOB_BYTES, MOST_AROUND_BYTES, type ObjectReader, readObjectFile } from './objects.ts';
import { type Place, WRITERS_AT_ONCE } from './place.ts';
import { MAX_MANIFEST_BYTES, type ManifestFile, manifestFiles, readManifest } from './points.ts';
import { MAX_SETTINGS_BYTES } from './settings.ts';

export interface CopyOptions {
  /** Which points; all of them unless given. */
  readonly wants?: (point: { readonly vm: string; readonly pointId: string }) => boolean;
  /** Which of them before the others; each group the oldest first. */
  readonly goesFirst?: (point: { readonly vm: string; readonly pointId: string }) => boolean;
  /** Waits until so many bytes may be sent or read back. */
  readonly pace?: (bytes: number) => Promise<void>;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
  /** The point is over there as a whole. */
  readonly onPoint?: (manifest: Manifest) => Promise<void>;
}

export interface CopyProgress {
  readonly points: number;
  /** To be copied in all. */
  readonly pointsInAll: number;
  readonly sentBytes: number;
}

export interface CopyReport {
  /** Points that are there now, also those that were there before. */
  readonly there: readonly string[];
  readonly copied: readonly string[];
  readonly sentObjects: number;
  readonly sentBytes: number;
  /** Objects that lay there already, of a copy that was cut off or of other points. */
  readonly foundObjects: number;
  /** Points that cannot be copied because they are damaged here. */
  readonly damaged: readonly { readonly pointId: string; readonly reason: string }[];
}

/** Ids that are looked at together: some MiB of memory. */
const IDS_AT_ONCE = 50_000;
const HALF_AGE_MS = 24 * 3_600_000;
/** Sending again what did not come back as it was. */
const SEND_TRIES = 3;

/** @throws AppError copy_of_another when the place holds another repository, copy_not_empty when it holds other files, copy_unsound when
 *  it does not give back what it was given; what the place fails with */
export async function copyPoints(core: Core, place: Place, options: CopyOptions = {}): Promise<CopyReport> {
  const { signal } = options;
  const lease = core.layout.isElsewhere ? null : await takeLease(core.layout, 'export');
  const threads = core.threads.acquire();
  try {
    const objects = createObjectReader({
      layout: core.layout,
      pool: threads.pool,
      chunkSizeBytes: core.settings.chunkSizeBytes,
      isKeyMissing: core.isEncrypted && !core.keys,
    });
    const copying = createCopying(core, lease, place, objects, options);
    await copying.putSettings();
    await removeHalves(place);
    const isThere = new Set((await manifestFiles(copying.target)).map(({ pointId }) => pointId));
    const wanted: ManifestFile[] = [];
    for (const file of await manifestFiles(core.layout)) if (options.wants?.(file) ?? true) wanted.push(file);
    const rank = (file: ManifestFile) => (options.goesFirst?.(file) === true ? 0 : 1);
    // The oldest first, whatever VM it is of: ids of points begin with their time.
    const missing = wanted
      .filter(({ pointId }) => !isThere.has(pointId))
      .sort((a, b) => rank(a) - rank(b) || (a.pointId < b.pointId ? -1 : 1));
    copying.expect(missing.length);
    for (const file of wanted) if (isThere.has(file.pointId)) await copying.knowPages(file);
    for (const file of missing) {
      signal?.throwIfAborted();
      try {
        await lease?.pin(file.pointId, async () => (await core.layout.files.sizeOf(file.path)) !== null);
      } catch (error) {
        // Pruned since it was listed.
        if (error instanceof AppError && error.code === 'point_not_found') continue;
        throw error;
      }
      await copying.point(file);
    }
    const wasEmpty = isThere.size === 0;
    await holdCopy({ ...core, layout: copying.target }, place, objects, { wasEmpty, signal });
    return copying.report([...isThere]);
  } finally {
    await threads.release();
    await lease?.release();
  }
}

function createCopying(core: Core, lease: Lease | null, place: Place, objects: ObjectReader, options: CopyOptions) {
  const { layout, settings } = core;
  const { signal, pace = async () => undefined, onProgress, onPoint } = options;
  const target: Layout = layoutOf('', place);
  const maxBytes = Math.max(settings.chunkSizeBytes, MAX_BLOB_BYTES) + MOST_AROUND_BYTES;
  /** Of points that are there as a whole: so is everything in them. */
  const pagesThere = new Set<string>();
  /** Pages by VM and disk of the newest point that is there. */
  const newestThere = new Map<string, readonly string[]>();
  const copied: string[] = [];
  const damaged: { pointId: string; reason: string }[] = [];
  const sums = { sentObjects: 0, sentBytes: 0, foundObjects: 0 };
  let pointsInAll = 0;

  const tell = () => onProgress?.({ points: copied.length + damaged.length, pointsInAll, sentBytes: sums.sentBytes });

  const know = (manifest: Manifest) => {
    for (const { target: disk, pages } of manifest.disks) {
      for (const page of pages) pagesThere.add(page);
      newestThere.set(`${manifest.vm} ${disk}`, pages);
    }
  };

  /** What comes back is what was sent; otherwise it is sent again. */
  const send = async (path: string, bytes: Buffer) => {
    for (let tries = 1; ; tries += 1) {
      signal?.throwIfAborted();
      await pace(bytes.length);
      await place.write(path, bytes);
      sums.sentBytes += bytes.length;
      tell();
      await pace(bytes.length);
      if (await comesBack(place, path, bytes)) return;
      if (tries === SEND_TRIES)
        throw new AppError('copy_unsound', {
          detail: `${place.title} gave back other bytes for ${path} than it was given.`,
        });
    }
  };

  const putObject = async (id: string, foundBytes: number | null) => {
    const path = target.object(id);
    if (foundBytes !== null) {
      await pace(foundBytes);
      if (await isSound(place, path, maxBytes)) {
        sums.foundObjects += 1;
        return;
      }
    }
    const bytes = await readObjectFile(layout.files, layout.object(id), maxBytes);
    checkedObject(bytes);
    await send(path, bytes);
    sums.sentObjects += 1;
  };

  /** Asks once for each folder what lies there. */
  const putObjects = async (ids: Iterable<Buffer>) => {
    const folders = new Map<string, string[]>();
    for (const each of ids) {
      const id = each.toString('hex');
      const folder = dirname(target.object(id));
      const group = folders.get(folder);
      if (group) group.push(id);
      else folders.set(folder, [id]);
    }
    const failures: unknown[] = [];
    await mapLimit([...folders], WRITERS_AT_ONCE, async ([folder, group]) => {
      // Who is told of a failure may count on it that nothing is sent any more.
      if (failures.length > 0) return;
      try {
        signal?.throwIfAborted();
        const sizes = new Map((await place.entries(folder)).map(({ name, sizeBytes }) => [name, sizeBytes]));
        for (const id of group) if (failures.length === 0) await putObject(id, sizes.get(id) ?? null);
      } catch (error) {
        failures.push(error);
      }
    });
    if (failures.length > 0) throw failures[0];
  };

  /** Chunks of a point that its page of before does not have at the same place. */
  const newChunks = (pages: ReadonlyMap<string, string | null>) =>
    usedIds(
      layout,
      lease,
      async (visit) => {
        for (const [id, beforeId] of pages) {
          signal?.throwIfAborted();
          const page = await objects.read('page', id);
          const before = beforeId === null ? null : await pageOrNothing(beforeId);
          for (let at = 0; at < IDS_PER_PAGE * ID_BYTES; at += ID_BYTES) {
            if (isZeroAt(page, at) || before?.compare(page, at, at + ID_BYTES, at, at + ID_BYTES) === 0) continue;
            visit(page, at);
          }
        }
      },
      IDS_AT_ONCE,
    );

  /** A page that cannot be read saves no work, and costs none. */
  const pageOrNothing = async (id: string) => {
    try {
      return await objects.read('page', id);
    } catch (error) {
      if (error instanceof ObjectDamage) return null;
      throw error;
    }
  };

  /** New pages, each with the one that was at its place in the newest point that is there. */
  const newPages = ({ vm, disks }: Manifest) => {
    const pages = new Map<string, string | null>();
    for (const disk of disks) {
      const before = newestThere.get(`${vm} ${disk.target}`);
      for (const [n, id] of disk.pages.entries()) {
        if (id === ZERO_HEX || pagesThere.has(id)) continue;
        const beforeId = before?.[n] ?? ZERO_HEX;
        pages.set(id, beforeId === ZERO_HEX ? null : beforeId);
      }
    }
    return pages;
  };

  return {
    target,
    expect(count: number) {
      pointsInAll = count;
      tell();
    },

    /** Makes the place a repository of the same kind, or sees that it is this one's copy. */
    async putSettings() {
      const found = await Promise.all(target.settings.map((path) => readOrNothing(place, path)));
      const there = found.filter((bytes) => bytes !== null);
      if (there.length === 0) {
        const strange = (await place.names('')).filter((name) => !['lost+found', 'tmp'].includes(name));
        if (strange.length > 0)
          throw new AppError('copy_not_empty', {
            detail: `${place.title} holds other things already: ${strange.slice(0, 3).join(', ')}.`,
          });
      }
      if (there.some((bytes) => !bytes.equals(core.settingsBytes)))
        throw new AppError('copy_of_another', {
          detail: `${place.title} is a copy of another repository, or damaged.`,
        });
      // The last file that is written is the first that is looked for.
      for (const [n, path] of [...target.settings.entries()].reverse())
        if (!found[n]) await send(path, core.settingsBytes);
    },

    /** Remembers what a point that is there as a whole has. */
    async knowPages(file: ManifestFile) {
      try {
        know((await readManifest(core, file)).manifest);
      } catch (error) {
        if (!(error instanceof AppError) || !['point_damaged', 'point_not_found'].includes(error.code)) throw error;
      }
    },

    async point(file: ManifestFile) {
      try {
        const { manifest } = await readManifest(core, file);
        const pages = newPages(manifest);
        for await (const { ids } of newChunks(pages)) await putObjects(ids);
        await putObjects([...pages.keys(), ...Object.values(manifest.blobs)].map((id) => Buffer.from(id, 'hex')));
        const bytes = await layout.files.read(file.path, MAX_MANIFEST_BYTES);
        await send(target.manifest(manifest.vm, manifest.seq, manifest.id), bytes);
        know(manifest);
        copied.push(manifest.id);
        await onPoint?.(manifest);
      } catch (error) {
        const reason = damageOf(error);
        if (reason === null) throw error;
        damaged.push({ pointId: file.pointId, reason });
      }
      tell();
    },

    report: (before: readonly string[]): CopyReport => ({
      there: [...before, ...copied],
      copied,
      damaged,
      ...sums,
    }),
  };
}

const ZERO_HEX = ZERO_ID.toString('hex');

/** What writes that were cut off left over there; what is young may be of another host. */
async function removeHalves(place: Place): Promise<void> {
  for (const { name, modifiedMs } of await place.entries('tmp'))
    if (name.startsWith('copy-') && Date.now() - modifiedMs > HALF_AGE_MS) await place.remove(`tmp/${name}`);
}

/** Why a point cannot be copied, when that is for what lies here; null for everything else. */
function damageOf(error: unknown): string | null {
  if (error instanceof ObjectDamage) return `a part of it cannot be used: ${error.message}`;
  if (error instanceof AppError && ['point_damaged', 'point_not_found'].includes(error.code)) return error.message;
  return null;
}

async function comesBack(place: Place, path: string, bytes: Buffer): Promise<boolean> {
  try {
    return (await place.read(path, bytes.length)).equals(bytes);
  } catch (error) {
    if (error instanceof UnfitFile || hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

async function isSound(place: Place, path: string, maxBytes: number): Promise<boolean> {
  try {
    checkedObject(await readObjectFile(place, path, maxBytes));
    return true;
  } catch (error) {
    if (error instanceof ObjectDamage) return false;
    throw error;
  }
}

async function readOrNothing(place: Place, path: string): Promise<Buffer | null> {
  try {
    return await place.read(path, MAX_SETTINGS_BYTES);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return null;
    if (error instanceof UnfitFile) throw new AppError('copy_of_another', { cause: error });
    throw error;
  }
}
