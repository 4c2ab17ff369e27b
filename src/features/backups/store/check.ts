/** Reads everything that restore points need and compares it with what its id or digest promises. Bad objects go to quarantine, so that
 *  the next writer stores them anew; which places of which points they take is kept beside the points. */

import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { mapLimit } from '#kernel/async.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { distinctBlobs, distinctPages, inBatches, isZeroAt, usedIds, visitChunks } from './contents.ts';
import type { Core } from './core.ts';
import { type DamagedPlace, type DamagedPlaces, MOST_PLACES, NO_PLACES, writeDamage } from './damage.ts';
import { UnfitFile } from './files.ts';
import { IdSet } from './id-set.ts';
import type { Layout } from './layout.ts';
import { type Lease, takeLease } from './lease.ts';
import { clearLeftovers } from './leftovers.ts';
import { IDS_PER_PAGE, type Manifest } from './manifest.ts';
import { HEADER_BYTES, ID_BYTES, ObjectDamage, type ObjectKind } from './object.ts';
import { objectFolders } from './object-folders.ts';
import { createObjectReader, type ObjectReader } from './objects.ts';
import { type ManifestFile, manifestFiles, readManifest } from './points.ts';
import { MAX_SETTINGS_BYTES } from './settings.ts';

export interface CheckOptions {
  /** Read and compare every chunk; otherwise pages and documents are read, and chunks only have to be there. */
  readonly isDataRead?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CheckProgress) => void;
}

export interface CheckProgress {
  readonly checkedObjects: number;
  readonly checkedBytes: number;
}

export interface CheckProblem {
  readonly kind: 'settings' | 'manifest' | ObjectKind;
  /** Hex id of an object, or the file's place in the repository. */
  readonly name: string;
  readonly isMissing: boolean;
  /** For people. */
  readonly reason: string;
}

export interface CheckReport {
  /** Manifests that were looked at; 0 proves nothing. */
  readonly points: number;
  readonly objects: number;
  readonly bytes: number;
  readonly problems: readonly CheckProblem[];
  /** Also those that are not in `problems`, which has at most 10,000. */
  readonly problemCount: number;
  /** Points that cannot be restored as a whole. */
  readonly damagedPoints: readonly string[];
  /** False when sealed objects were compared with their digest only, because the key was not at hand. */
  readonly isComplete: boolean;
}

const MOST_PROBLEMS = 10_000;
const OBJECTS_AT_ONCE = 8;

/** @throws AppError repository_locked while other upkeep runs */
export async function check(core: Core, options: CheckOptions = {}): Promise<CheckReport> {
  const lease = core.layout.isElsewhere ? null : await takeLease(core.layout, 'check');
  try {
    return (await checkUnder(core, lease, options)).report;
  } finally {
    await lease?.release();
  }
}

/** Ids of what is missing or in quarantine. */
export type BadObjects = Readonly<Record<ObjectKind, IdSet>>;

/** The check itself, for whoever holds a lease of upkeep already.
 *  @param lease null for a repository elsewhere, where what is bad is told and nothing is moved or noted */
export async function checkUnder(
  core: Core,
  lease: Lease | null,
  options: CheckOptions,
): Promise<{ readonly report: CheckReport; readonly bad: BadObjects }> {
  const { layout, settings } = core;
  const { isDataRead = false, signal, onProgress } = options;
  const threads = core.threads.acquire();
  try {
    if (lease) await clearLeftovers(layout);
    const objects = createObjectReader({
      layout,
      pool: threads.pool,
      chunkSizeBytes: settings.chunkSizeBytes,
      isKeyMissing: core.isEncrypted && !core.keys,
    });
    const report = createReport(core, isDataRead, onProgress);
    for (const problem of await settingsProblems(core)) report.problem(problem);
    const points = await readablePoints(core, report);
    const bad = { chunk: new IdSet(), page: new IdSet(), blob: new IdSet() };
    const part: Part = { core, points, objects, report, bad, lease, signal };
    const pages = await distinctPages(core, points);
    const blobs = await distinctBlobs(core, points);
    await verifyAll(part, 'page', pages);
    await verifyAll(part, 'blob', blobs);
    await checkChunks(part, { pages, blobs }, isDataRead);
    await noteDamage(part);
    return { report: report.done(), bad };
  } finally {
    await threads.release();
  }
}

interface Part {
  readonly core: Core;
  readonly points: readonly ManifestFile[];
  readonly objects: ObjectReader;
  readonly report: Report;
  readonly bad: BadObjects;
  readonly lease: Lease | null;
  readonly signal: AbortSignal | undefined;
}

type Report = ReturnType<typeof createReport>;

function createReport(core: Core, isDataRead: boolean, onProgress: CheckOptions['onProgress']) {
  const problems: CheckProblem[] = [];
  const damagedPoints = new Set<string>();
  let problemCount = 0;
  let points = 0;
  let objects = 0;
  let bytes = 0;
  return {
    point() {
      points += 1;
    },
    object(length: number) {
      objects += 1;
      bytes += length;
      onProgress?.({ checkedObjects: objects, checkedBytes: bytes });
    },
    problem(problem: CheckProblem) {
      problemCount += 1;
      if (problems.length < MOST_PROBLEMS) problems.push(problem);
    },
    damagedPoint: (id: string) => void damagedPoints.add(id),
    done: (): CheckReport => ({
      points,
      objects,
      bytes,
      problems,
      problemCount,
      damagedPoints: [...damagedPoints],
      isComplete: isDataRead && !(core.isEncrypted && !core.keys),
    }),
  };
}

/** What was read and proven when the repository was opened never changes. */
async function settingsProblems({ layout, settingsBytes }: Core): Promise<CheckProblem[]> {
  const problems: CheckProblem[] = [];
  for (const path of layout.settings) {
    const name = basename(path);
    try {
      if (!(await layout.files.read(path, MAX_SETTINGS_BYTES)).equals(settingsBytes))
        problems.push({ kind: 'settings', name, isMissing: false, reason: 'it is not what it was when it was opened' });
    } catch (error) {
      if (!hasErrno(error, 'ENOENT', 'EIO') && !(error instanceof UnfitFile)) throw error;
      problems.push({ kind: 'settings', name, isMissing: hasErrno(error, 'ENOENT'), reason: 'it cannot be read' });
    }
  }
  return problems;
}

/** Reads every manifest and compares the chain of those that follow each other. */
async function readablePoints(core: Core, report: Report): Promise<ManifestFile[]> {
  const readable: ManifestFile[] = [];
  let before: { readonly file: ManifestFile; readonly digest: string | null } | null = null;
  for (const file of await manifestFiles(core.layout)) {
    report.point();
    const name = `manifests/${file.vm}/${basename(file.path)}`;
    try {
      const { manifest, digest } = await readManifest(core, file);
      readable.push(file);
      const isNext = before !== null && before.file.vm === file.vm && before.file.seq + 1 === file.seq;
      if (isNext && before?.digest && before.digest !== manifest.prev)
        report.problem({
          kind: 'manifest',
          name,
          isMissing: false,
          reason: 'the one before it is not the one it followed',
        });
      if (before?.file.vm === file.vm && before.file.seq === file.seq)
        report.problem({ kind: 'manifest', name, isMissing: false, reason: 'another one has the same number' });
      before = { file, digest };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      before = { file, digest: null };
      report.damagedPoint(file.pointId);
      report.problem({ kind: 'manifest', name, isMissing: false, reason: error.message });
    }
  }
  return readable;
}

/** What good pages name, and then whatever lies there besides: a damaged page or manifest hides what it names, and the next writer would
 *  count on any object that has the right name. */
async function checkChunks(
  part: Part,
  known: { readonly pages: IdSet; readonly blobs: IdSet },
  isDataRead: boolean,
): Promise<void> {
  const { core, objects, bad, lease, signal } = part;
  const pages = new IdSet();
  for (const id of known.pages) if (!bad.page.has(id)) pages.add(id);
  const ranges = usedIds(core.layout, lease, (visit) =>
    visitChunks({ objects, pages, visit, onDamage: throwDamage, signal }),
  );
  for await (const { low, high, ids } of ranges) {
    if (isDataRead) await verifyAll(part, 'chunk', ids);
    else await lookAtAll(part, ids);
    // Who copies reads what he finds there before he counts on it.
    if (!lease) continue;
    const isNamed = (id: Buffer) => ids.has(id) || known.pages.has(id) || known.blobs.has(id);
    for await (const folder of objectFolders(core.layout, low, high)) {
      const others = folder.ids.filter((id) => !isNamed(Buffer.from(id, 'hex')));
      await mapLimit(others, OBJECTS_AT_ONCE, (id) => checkUnnamed(part, id, isDataRead));
    }
  }
}

async function checkUnnamed({ core, objects, report, lease, signal }: Part, id: string, isDataRead: boolean) {
  signal?.throwIfAborted();
  try {
    if (isDataRead) return report.object(await objects.verifyAny(id));
    const sizeBytes = await core.layout.files.sizeOf(core.layout.object(id));
    if (sizeBytes === null || sizeBytes > HEADER_BYTES) return;
    throw new ObjectDamage('it is shorter than its header');
  } catch (error) {
    if (!(error instanceof ObjectDamage)) throw error;
    // Nobody misses what went meanwhile.
    if (error.isMissing) return;
    const reason = `${error.message}; no restore point that can be read needs it`;
    report.problem({ kind: 'chunk', name: id, isMissing: false, reason });
    await quarantine(core.layout, lease, id);
  }
}

function throwDamage(_id: string, damage: ObjectDamage): never {
  throw damage;
}

async function verifyAll(
  { core, objects, report, bad, lease, signal }: Part,
  kind: ObjectKind,
  ids: IdSet,
): Promise<void> {
  await inBatches(ids, OBJECTS_AT_ONCE, async (id) => {
    signal?.throwIfAborted();
    try {
      report.object(await objects.verify(kind, id));
    } catch (error) {
      if (!(error instanceof ObjectDamage)) throw error;
      bad[kind].add(Buffer.from(id, 'hex'));
      report.problem({ kind, name: id, isMissing: error.isMissing, reason: error.message });
      if (!error.isMissing) await quarantine(core.layout, lease, id);
    }
  });
}

/** Only whether they are there and could be objects. */
async function lookAtAll({ core, report, bad, lease, signal }: Part, ids: IdSet): Promise<void> {
  await inBatches(ids, OBJECTS_AT_ONCE, async (id) => {
    signal?.throwIfAborted();
    const sizeBytes = await core.layout.files.sizeOf(core.layout.object(id));
    if (sizeBytes !== null && sizeBytes > HEADER_BYTES) return report.object(sizeBytes);
    bad.chunk.add(Buffer.from(id, 'hex'));
    const isMissing = sizeBytes === null;
    const reason = isMissing ? 'it is missing' : 'it is shorter than its header';
    report.problem({ kind: 'chunk', name: id, isMissing, reason });
    if (!isMissing) await quarantine(core.layout, lease, id);
  });
}

/** Out of the way of the next writer, who would take it for good; kept for those who want to look at it. */
async function quarantine(layout: Layout, lease: Lease | null, id: string): Promise<void> {
  if (!lease) return;
  try {
    await rename(layout.object(id), join(layout.quarantine, `${id}.${lease.token}`));
  } catch (error) {
    // On a file system that cannot be written the report has to do.
    if (!hasErrno(error, 'ENOENT', 'EROFS', 'EIO')) throw error;
  }
}

/** Finds the places of what is bad, and writes them beside each point; of a good point an older note is removed. */
async function noteDamage({ core, points, objects, report, bad, lease, signal }: Part): Promise<void> {
  const chunkSizeBytes = core.settings.chunkSizeBytes;
  for (const file of points) {
    const { manifest } = await readManifest(core, file);
    const isAllGood = bad.chunk.size + bad.page.size + bad.blob.size === 0;
    const found = isAllGood ? NO_PLACES : await placesIn(manifest, objects, bad, chunkSizeBytes, signal);
    if (found.count > 0) report.damagedPoint(manifest.id);
    if (lease) await noteIfThereIsRoom(core.layout, lease, manifest.id, found);
  }
}

async function noteIfThereIsRoom(...[layout, lease, id, found]: Parameters<typeof writeDamage>): Promise<void> {
  try {
    await writeDamage(layout, lease, id, found);
  } catch (error) {
    // The report tells it, which is what a full repository is checked for.
    if (!(error instanceof AppError) || error.code !== 'no_space') throw error;
  }
}

async function placesIn(
  manifest: Manifest,
  objects: ObjectReader,
  bad: BadObjects,
  chunkSizeBytes: number,
  signal: AbortSignal | undefined,
): Promise<DamagedPlaces> {
  const places: DamagedPlace[] = [];
  let count = 0;
  const note = (place: DamagedPlace) => {
    count += 1;
    if (places.length < MOST_PLACES) places.push(place);
  };
  for (const id of Object.values(manifest.blobs))
    if (bad.blob.has(Buffer.from(id, 'hex'))) note({ id, kind: 'blob', target: null, offsetBytes: 0 });
  for (const { target, pages } of manifest.disks) {
    for (const [n, id] of pages.entries()) {
      const bytes = Buffer.from(id, 'hex');
      if (isZeroAt(bytes, 0)) continue;
      const firstChunk = n * IDS_PER_PAGE;
      if (bad.page.has(bytes)) {
        note({ id, kind: 'page', target, offsetBytes: firstChunk * chunkSizeBytes });
        continue;
      }
      signal?.throwIfAborted();
      const page = await objects.read('page', id);
      for (let slot = 0; slot < IDS_PER_PAGE; slot += 1) {
        const at = slot * ID_BYTES;
        if (isZeroAt(page, at) || !bad.chunk.has(page, at)) continue;
        const chunk = page.subarray(at, at + ID_BYTES).toString('hex');
        note({ id: chunk, kind: 'chunk', target, offsetBytes: (firstChunk + slot) * chunkSizeBytes });
      }
    }
  }
  return { count, places };
}
