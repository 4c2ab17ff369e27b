/** Deletes restore points, then every object that no remaining one uses: mark and sweep, beside writers and exports. When it cannot be told
 *  what is in use, nothing is swept. */

import { rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { formatBytes } from '#kernel/units.ts';
import { distinctPages, pageDamaged, usedIds, visitChunks } from './contents.ts';
import type { Core } from './core.ts';
import { forgetDamage } from './damage.ts';
import { syncFolder } from './files.ts';
import { IdSet } from './id-set.ts';
import type { Layout } from './layout.ts';
import { type Lease, liveLeases, takeLease } from './lease.ts';
import { clearLeftovers, putBack, sweptName } from './leftovers.ts';
import { exclusively } from './mutex.ts';
import { objectFolders } from './object-folders.ts';
import { createObjectReader } from './objects.ts';
import { type ManifestFile, manifestFiles, readManifest } from './points.ts';

export interface PruneOptions {
  /** Points to delete. Nobody can name those to keep: states of hosts and points that cannot be read are among the others. */
  readonly points: { readonly remove: readonly string[] };
  /** Tell what would be done. */
  readonly isDryRun?: boolean;
  /** Objects younger than this stay, used or not; 24 h. Never less than the longest backup takes on other hosts. */
  readonly graceMs?: number;
  /** Most bytes that may go, as a share of all: above it nothing is deleted. */
  readonly maxSweepRatio?: number;
  readonly signal?: AbortSignal;
}

export interface PruneResult {
  readonly removedPoints: readonly string[];
  /** Were to be removed, and are in use by an export or a backup. */
  readonly pinnedPoints: readonly string[];
  readonly sweptObjects: number;
  readonly sweptBytes: number;
  readonly keptObjects: number;
  readonly keptBytes: number;
}

const GRACE_MS = 24 * 3_600_000;

/** @throws AppError repository_locked, prune_too_much; point_damaged when it cannot be told what is in use */
export async function prune(core: Core, options: PruneOptions): Promise<PruneResult> {
  const { layout } = core;
  const lease = await takeLease(layout, 'prune');
  const threads = core.threads.acquire();
  try {
    await clearLeftovers(layout);
    if (options.maxSweepRatio !== undefined)
      await assertRatio(core, threads.pool, lease, options, options.maxSweepRatio);
    return await run(core, threads.pool, lease, options);
  } finally {
    await threads.release();
    await lease.release();
  }
}

/** Deletes the manifests of points that nobody reads. @returns those that somebody reads, which stay
 *  @throws AppError repository_locked */
export async function removePoints(core: Core, pointIds: readonly string[]): Promise<readonly string[]> {
  const { layout } = core;
  const lease = await takeLease(layout, 'prune');
  try {
    return await exclusively(layout.locks, async () => {
      await lease.assertHeld();
      const pins = new Set((await liveLeases(layout)).flatMap((each) => each.pins));
      const files = (await manifestFiles(layout)).filter(({ pointId }) => pointIds.includes(pointId));
      await removeManifests(
        layout,
        files.filter(({ pointId }) => !pins.has(pointId)),
      );
      return pointIds.filter((id) => pins.has(id));
    });
  } finally {
    await lease.release();
  }
}

type PoolOf = ReturnType<Core['threads']['acquire']>['pool'];

async function assertRatio(core: Core, pool: PoolOf, lease: Lease, options: PruneOptions, most: number): Promise<void> {
  const { sweptBytes, keptBytes } = await run(core, pool, lease, { ...options, isDryRun: true });
  const ratio = sweptBytes / Math.max(1, sweptBytes + keptBytes);
  if (ratio > most)
    throw new AppError('prune_too_much', {
      detail: `This would delete ${formatBytes(sweptBytes)} of ${formatBytes(sweptBytes + keptBytes)}, which is ${Math.round(ratio * 100)} %; ${Math.round(most * 100)} % are allowed without asking.`,
      params: { sweptBytes, keptBytes },
    });
}

async function run(core: Core, pool: PoolOf, lease: Lease, options: PruneOptions): Promise<PruneResult> {
  const { layout, settings } = core;
  const { isDryRun = false, graceMs = GRACE_MS, signal } = options;
  const choice = await exclusively(layout.locks, async () => {
    await lease.assertHeld();
    const chosen = await choose(core, lease, options);
    if (!isDryRun) await removeManifests(layout, chosen.remove);
    return chosen;
  });
  const cutoffMs = Math.min(choice.oldestWriterMs, lease.startedAtMs - Math.max(0, graceMs));
  const objects = createObjectReader({
    layout,
    pool,
    chunkSizeBytes: settings.chunkSizeBytes,
    isKeyMissing: core.isEncrypted && !core.keys,
  });
  const pages = await distinctPages(core, choice.stay);
  const sums = { sweptObjects: 0, sweptBytes: 0, keptObjects: 0, keptBytes: 0 };
  const ranges = usedIds(layout, lease, async (visit) => {
    for (const id of pages) visit(id, 0);
    for (const id of choice.blobs) visit(id, 0);
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
    await sweepRange({ layout, lease, low, high, marked: ids, cutoffMs, isDryRun, sums, signal });
  return {
    removedPoints: choice.remove.map(({ pointId }) => pointId),
    pinnedPoints: choice.pinned,
    ...sums,
  };
}

/** To be called under the lock: what stays then stays until the next prune, and whoever begins afterwards sees only that. */
async function choose(core: Core, lease: Lease, { points }: PruneOptions) {
  const { layout } = core;
  const leases = (await liveLeases(layout)).filter(({ token }) => token !== lease.token);
  const pins = new Set(leases.flatMap((each) => each.pins));
  const remove: ManifestFile[] = [];
  const pinned: string[] = [];
  const stay: ManifestFile[] = [];
  const blobs = new IdSet();
  for (const file of await manifestFiles(layout)) {
    const isLeaving = points.remove.includes(file.pointId);
    if (isLeaving && pins.has(file.pointId)) pinned.push(file.pointId);
    if (isLeaving && !pins.has(file.pointId)) {
      remove.push(file);
      continue;
    }
    stay.push(file);
    // One that cannot be read ends the prune before anything is deleted.
    const { manifest } = await readManifest(core, file);
    for (const id of Object.values(manifest.blobs)) blobs.add(Buffer.from(id, 'hex'));
  }
  const writers = leases.filter(({ work }) => work === 'write');
  const oldestWriterMs = Math.min(...writers.map(({ startedAtMs }) => startedAtMs), Number.POSITIVE_INFINITY);
  return { remove, pinned, stay, blobs, oldestWriterMs };
}

async function removeManifests(layout: Layout, files: readonly ManifestFile[]): Promise<void> {
  for (const { path, pointId } of files) {
    await rm(path, { force: true });
    await forgetDamage(layout, pointId);
  }
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) await syncFolder(folder);
}

interface Sweep {
  readonly layout: Layout;
  readonly lease: Lease;
  readonly low: number;
  readonly high: number;
  readonly marked: IdSet;
  readonly cutoffMs: number;
  readonly isDryRun: boolean;
  readonly sums: { sweptObjects: number; sweptBytes: number; keptObjects: number; keptBytes: number };
  readonly signal: AbortSignal | undefined;
}

async function sweepRange(sweep: Sweep): Promise<void> {
  const { layout, low, high, lease, signal } = sweep;
  for await (const { path, ids } of objectFolders(layout, low, high)) {
    signal?.throwIfAborted();
    // Who was taken for dead may no longer delete: another prune may be at work.
    await lease.assertHeld();
    const sweptBefore = sweep.sums.sweptObjects;
    for (const id of ids) await judge(sweep, id);
    if (!sweep.isDryRun && sweep.sums.sweptObjects > sweptBefore) await removeIfEmpty(path);
  }
}

async function judge({ layout, lease, marked, cutoffMs, isDryRun, sums }: Sweep, id: string): Promise<void> {
  const path = layout.object(id);
  const facts = await statOf(path);
  if (!facts) return;
  const isUsed = marked.has(Buffer.from(id, 'hex'));
  if (!isUsed && facts.mtimeMs < cutoffMs && (isDryRun || (await removeUntouched(layout, lease, id, cutoffMs)))) {
    sums.sweptObjects += 1;
    sums.sweptBytes += facts.size;
  } else {
    sums.keptObjects += 1;
    sums.keptBytes += facts.size;
  }
}

async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    if (!hasErrno(error, 'ENOTEMPTY', 'EEXIST', 'ENOENT')) throw error;
  }
}

/** A writer may find the object and count on it at this very moment. So it is lifted out first: whoever comes later does not find it and
 *  writes it anew, and whoever came before left his time on it. */
async function removeUntouched(layout: Layout, lease: Lease, id: string, cutoffMs: number): Promise<boolean> {
  const lifted = sweptName(layout, lease.token, id);
  try {
    await rename(layout.object(id), lifted);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
  const facts = await statOf(lifted);
  if (facts && facts.mtimeMs >= cutoffMs) {
    await putBack(layout, lifted, id);
    return false;
  }
  await rm(lifted, { force: true });
  return true;
}

async function statOf(path: string): Promise<{ readonly size: number; readonly mtimeMs: number } | null> {
  try {
    return await stat(path);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}
