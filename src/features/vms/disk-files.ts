/** Makes, moves and weighs disk files. Everything is made as `.part`, synced and renamed, so a name without `.part` is a whole disk. */

import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { runChecked } from '#platform/process.ts';

export interface DiskOrder {
  /** Absolute path of the finished disk. */
  readonly path: string;
  readonly format: 'qcow2' | 'raw';
  /** Virtual size in bytes. */
  readonly sizeBytes: number;
  /** What it is a full copy of; its format is stated, never guessed. */
  readonly source?: { readonly path: string; readonly format: 'qcow2' | 'raw' };
}

const TOOL_TIMEOUT_MS = 60_000;
const COPY_TIMEOUT_MS = 6 * 3_600_000;

/** Makes a disk unless it is there. A half-made one is begun anew.
 *  @param onProgress the share that is copied, 0 to 1
 *  @throws no_space, program_missing, program_failed, timeout, the signal's reason */
export async function makeDisk(
  order: DiskOrder,
  signal: AbortSignal,
  onProgress: (ratio: number) => void,
): Promise<void> {
  if (await exists(order.path)) return;
  const part = `${order.path}.part`;
  await rm(part, { force: true });
  try {
    if (order.source) await copyDisk(order, order.source, part, signal, onProgress);
    else
      await runChecked(['qemu-img', 'create', '-q', '-f', order.format, part, String(order.sizeBytes)], {
        timeoutMs: TOOL_TIMEOUT_MS,
        signal,
      });
  } catch (error) {
    await rm(part, { force: true });
    throw asNoSpace(error);
  }
  await publishFile(part, order.path);
}

async function copyDisk(
  order: DiskOrder,
  source: NonNullable<DiskOrder['source']>,
  part: string,
  signal: AbortSignal,
  onProgress: (ratio: number) => void,
): Promise<void> {
  const timer = setInterval(() => void reportCopy(part, source.path, onProgress), 500);
  try {
    await runChecked(['qemu-img', 'convert', '-q', '-f', source.format, '-O', order.format, source.path, part], {
      timeoutMs: COPY_TIMEOUT_MS,
      signal,
    });
  } finally {
    clearInterval(timer);
  }
  await runChecked(['qemu-img', 'resize', '-q', '-f', order.format, part, String(order.sizeBytes)], {
    timeoutMs: TOOL_TIMEOUT_MS,
    signal,
  });
}

async function reportCopy(part: string, source: string, onProgress: (ratio: number) => void): Promise<void> {
  try {
    const [made, whole] = [await allocatedBytes(part), await allocatedBytes(source)];
    // A compressed source grows while it is copied; the last stretch is never shown as done.
    if (whole > 0) onProgress(Math.min(0.99, made / whole));
  } catch {
    // The file is not there yet, was renamed just now, or cannot be looked at: progress is a hint only.
  }
}

/** Syncs the file, gives it its final name, and syncs the folder: after this a power cut leaves it whole. */
export async function publishFile(part: string, path: string, mode = 0o600): Promise<void> {
  const file = await open(part, 'r+');
  try {
    // Disks hold people's data: for root and the user that libvirt gives them to, for nobody else.
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await moveFile(part, path);
}

/** Renames within one file system, durably. A source that is gone while the target is there counts as done. */
export async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT') || !(await exists(to))) throw error;
  }
  await syncFolder(dirname(to));
  if (dirname(from) !== dirname(to)) await syncFolder(dirname(from));
}

/** Moves data that an undone operation leaves behind into the quarantine; nothing is deleted. */
export async function quarantineFile(path: string, quarantine: string): Promise<void> {
  if (!(await exists(path))) return;
  await mkdir(quarantine, { recursive: true, mode: 0o700 });
  await moveFile(path, join(quarantine, basename(path)));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** Bytes that the file takes on its file system. */
export async function allocatedBytes(path: string): Promise<number> {
  return (await stat(path)).blocks * 512;
}

/** The failure of a program that wrote a disk, told as full where that was the reason; else as it is. */
export function asNoSpace(error: unknown): unknown {
  const cause = error instanceof AppError && error.cause instanceof Error ? error.cause.message : '';
  return hasErrno(error, 'ENOSPC', 'EDQUOT') || /No space left on device|Disk quota exceeded/.test(cause)
    ? new AppError('no_space', {
        detail: 'The file system of the disks filled up while a disk was written.',
        cause: error,
      })
    : error;
}

const measureSchema = z.object({ required: z.number() });

/** Bytes that a full copy will take. @throws program_missing, program_failed */
export async function measureCopy(
  source: { readonly path: string; readonly format: 'qcow2' | 'raw' },
  format: 'qcow2' | 'raw',
): Promise<number> {
  const { stdout } = await runChecked(
    ['qemu-img', 'measure', '--output=json', '-f', source.format, '-O', format, source.path],
    { timeoutMs: TOOL_TIMEOUT_MS },
  );
  return measureSchema.parse(JSON.parse(stdout)).required;
}
