/** Fetches from another repository what this one has lost: settings, manifests, pages, documents and chunks. Nothing is believed: what
 *  comes is compared with the id or the MAC of this repository before it is written. */

import { readFile } from 'node:fs/promises';
import { mapLimit } from '#kernel/async.ts';
import { AppError } from '#kernel/errors.ts';
import { type BadObjects, type CheckProgress, type CheckReport, checkUnder } from './check.ts';
import { distinctPages, inBatches, usedIds, visitChunks } from './contents.ts';
import { type Core, needKey } from './core.ts';
import { EnvelopeDamage, openEnvelope } from './envelope.ts';
import { syncFolder, temporaryName, UnfitFile, writeWhole } from './files.ts';
import type { IdSet } from './id-set.ts';
import { type Lease, takeLease } from './lease.ts';
import { idOf, ObjectDamage, type ObjectKind } from './object.ts';
import { createObjectReader, createObjectWriter, type ObjectReader, type ObjectWriter } from './objects.ts';
import { MAX_MANIFEST_BYTES, type ManifestFile, manifestFiles, readManifest } from './points.ts';

export interface RepairOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CheckProgress) => void;
}

export interface RepairReport {
  readonly repairedSettings: number;
  readonly repairedManifests: number;
  readonly repairedObjects: number;
  /** What was bad before, manifests and settings that were put back left out. */
  readonly before: CheckReport;
  /** What is still bad. */
  readonly after: CheckReport;
}

/** What another repository has to offer. */
export interface RepairSource {
  readonly core: Core;
}

const OBJECTS_AT_ONCE = 4;
/** Pages that are back tell of more chunks, whose check may find more. */
const MOST_ROUNDS = 3;

/** @param from a copy of this repository, or any other one that holds the same data
 *  @throws AppError repository_locked, key_needed, no_space */
export async function repair(core: Core, from: RepairSource, options: RepairOptions = {}): Promise<RepairReport> {
  needKey(core);
  needKey(from.core);
  const { layout } = core;
  const lease = await takeLease(layout, 'repair');
  const ours = core.threads.acquire();
  const theirs = from.core.threads.acquire();
  try {
    const repairedSettings = await repairSettings(core, lease);
    const repairedManifests = await repairManifests(core, from.core, lease);
    const objects = createObjectWriter({ layout, pool: ours.pool, token: lease.token, skewMs: lease.skewMs });
    const source = readerOf(from.core, theirs.pool);
    const { report: before, bad } = await checkUnder(core, lease, { ...options, isDataRead: true });
    let repairedObjects = 0;
    let found = bad;
    for (let round = 1; round <= MOST_ROUNDS && sizeOf(found) > 0; round += 1) {
      const pages = await repairObjects({ core, from: from.core, lease, bad: found, objects, source, ...options });
      repairedObjects += pages.repaired;
      await mapLimit(objects.takeUnsyncedFolders(), OBJECTS_AT_ONCE, syncFolder);
      if (pages.repairedPages === 0) break;
      found = (await checkUnder(core, lease, { ...options, isDataRead: true })).bad;
    }
    // All that is there has been read by now; this tells what is still missing.
    const { report: after } = await checkUnder(core, lease, { ...options, isDataRead: false });
    return { repairedSettings, repairedManifests, repairedObjects, before, after };
  } finally {
    await ours.release();
    await theirs.release();
    await lease.release();
  }
}

const sizeOf = ({ chunk, page, blob }: BadObjects) => chunk.size + page.size + blob.size;

const readerOf = (core: Core, pool: ReturnType<Core['threads']['acquire']>['pool']) =>
  createObjectReader({
    layout: core.layout,
    pool,
    chunkSizeBytes: core.settings.chunkSizeBytes,
    isKeyMissing: core.isEncrypted && !core.keys,
  });

/** Gives an empty repository the settings of another one, as whose copy it begins.
 *  @throws AppError copy_of_another when restore points lie in it; repository_locked */
export async function takeSettings(core: Core, of: Core): Promise<void> {
  const { layout, settings } = core;
  if (settings.id === of.settings.id) return;
  if ((await manifestFiles(layout)).length > 0)
    throw new AppError('copy_of_another', { detail: `${layout.folder} holds restore points of another repository.` });
  const lease = await takeLease(layout, 'repair');
  try {
    // The last file that is written is the first that is looked for.
    for (const path of [...layout.settings].reverse()) await writeDurably(core, lease, path, of.settingsBytes);
  } finally {
    await lease.release();
  }
}

/** Writes the good copy over one that is not. */
async function repairSettings({ layout, settingsBytes }: Core, lease: Lease): Promise<number> {
  let repaired = 0;
  for (const path of layout.settings) {
    const isGood = await readFile(path).then(
      (bytes) => bytes.equals(settingsBytes),
      () => false,
    );
    if (isGood) continue;
    await writeDurably({ layout }, lease, path, settingsBytes);
    repaired += 1;
  }
  return repaired;
}

/** A manifest is taken when it opens with this repository's own MAC. */
async function repairManifests(core: Core, from: Core, lease: Lease): Promise<number> {
  let repaired = 0;
  for (const file of await manifestFiles(core.layout)) {
    if (!(await isManifestDamaged(core, file))) continue;
    const bytes = await fittingManifest(core, from, file);
    if (!bytes) continue;
    await writeDurably(core, lease, file.path, bytes);
    repaired += 1;
  }
  return repaired;
}

async function isManifestDamaged(core: Core, file: ManifestFile): Promise<boolean> {
  try {
    await readManifest(core, file);
    return false;
  } catch (error) {
    if (error instanceof AppError && error.code === 'point_damaged') return true;
    throw error;
  }
}

async function fittingManifest(core: Core, from: Core, file: ManifestFile): Promise<Buffer | null> {
  const theirs = (await manifestFiles(from.layout, file.vm)).find(({ pointId }) => pointId === file.pointId);
  if (!theirs || theirs.seq !== file.seq) return null;
  try {
    const bytes = await from.layout.files.read(theirs.path, MAX_MANIFEST_BYTES);
    openEnvelope(bytes, core.macKey);
    return bytes;
  } catch (error) {
    // Sealed with another key, or damaged over there as well.
    if (error instanceof EnvelopeDamage || error instanceof UnfitFile) return null;
    throw error;
  }
}

async function writeDurably(
  { layout }: Pick<Core, 'layout'>,
  lease: Lease,
  path: string,
  bytes: Buffer,
): Promise<void> {
  const folders = new Set<string>();
  await writeWhole({
    temporary: temporaryName(layout.tmp, lease.token),
    path,
    bytes,
    onFolder: (folder) => void folders.add(folder),
  });
  for (const folder of folders) await syncFolder(folder);
}

interface Repairing extends RepairOptions {
  readonly core: Core;
  readonly from: Core;
  readonly lease: Lease;
  readonly bad: BadObjects;
  readonly objects: ObjectWriter;
  readonly source: ObjectReader;
}

async function repairObjects(part: Repairing): Promise<{ readonly repaired: number; readonly repairedPages: number }> {
  if (!hasSameIds(part.core, part.from)) {
    // Their ids tell nothing: every chunk and document of theirs is read and looked up by our id. Pages hold ids and are of no use.
    return { repaired: await repairByContent(part), repairedPages: 0 };
  }
  const repairedPages = await repairById(part, 'page');
  const repaired = repairedPages + (await repairById(part, 'blob')) + (await repairById(part, 'chunk'));
  return { repaired, repairedPages };
}

function hasSameIds(core: Core, from: Core): boolean {
  if (!core.isEncrypted || !from.isEncrypted) return core.isEncrypted === from.isEncrypted;
  return core.keys !== null && from.keys !== null && Buffer.from(core.keys.id).equals(from.keys.id);
}

async function repairById({ bad, objects, source, signal }: Repairing, kind: ObjectKind): Promise<number> {
  let repaired = 0;
  await inBatches(bad[kind], OBJECTS_AT_ONCE, async (id) => {
    signal?.throwIfAborted();
    try {
      await objects.store(kind, await source.read(kind, id), true);
      repaired += 1;
    } catch (error) {
      if (!(error instanceof ObjectDamage)) throw error;
    }
  });
  return repaired;
}

async function repairByContent({ core, from, lease, bad, objects, source, signal }: Repairing): Promise<number> {
  const files = await readableFiles(from);
  const pages = await distinctPages(from, files);
  let repaired = 0;
  const tryAll = async (kind: 'chunk' | 'blob', ids: Iterable<Buffer>, wanted: IdSet) => {
    if (wanted.size === 0) return;
    await inBatches(ids, OBJECTS_AT_ONCE, async (id) => {
      signal?.throwIfAborted();
      try {
        const raw = await source.read(kind, id);
        if (!wanted.has(idOf(kind, raw, core.keys))) return;
        await objects.store(kind, raw, true);
        repaired += 1;
      } catch (error) {
        if (!(error instanceof ObjectDamage)) throw error;
      }
    });
  };
  for (const file of files) {
    const { manifest } = await readManifest(from, file);
    await tryAll(
      'blob',
      Object.values(manifest.blobs).map((id) => Buffer.from(id, 'hex')),
      bad.blob,
    );
  }
  const ranges = usedIds(core.layout, lease, (visit) =>
    visitChunks({ objects: source, pages, visit, onDamage: () => undefined, signal }),
  );
  for await (const { ids } of ranges) await tryAll('chunk', ids, bad.chunk);
  return repaired;
}

async function readableFiles(core: Core): Promise<ManifestFile[]> {
  const readable: ManifestFile[] = [];
  for (const file of await manifestFiles(core.layout)) if (!(await isManifestDamaged(core, file))) readable.push(file);
  return readable;
}
