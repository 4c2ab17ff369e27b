/** Files of the library: where they lie, how they are opened, and how they come to their final name. */

import { createHash } from 'node:crypto';
import { constants, lstatSync } from 'node:fs';
import { chmod, type FileHandle, lstat, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Image } from '#contract/images.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { MIB } from '#kernel/units.ts';
import type { StateFolders } from '#platform/config.ts';

/** All that an operation or an upload has before it is published. */
const PART_SUFFIX = '.part';
const READ_BYTES = MIB;

export interface ImageFiles {
  readonly folder: string;
  /** @param owner an operation or upload id */
  part(owner: string): string;
  /** The name that an image's file has. */
  nameOf(imageId: string, format: Image['format']): string;
  pathOf(file: string): string;
  /** Whether the file is there, plain, and of its size. */
  isWhole(file: string, sizeBytes: number): boolean;
  /** Where an operation puts what it takes away. */
  quarantine(operationId: string): string;
  prepare(): Promise<void>;
  /** Parts whose owner is none of those given and that nothing has touched for `olderThanMs`. */
  orphanParts(owners: ReadonlySet<string>, olderThanMs: number, now: Date): Promise<string[]>;
}

export function createImageFiles(state: StateFolders): ImageFiles {
  const folder = state.images;
  const pathOf = (file: string) => join(folder, file);
  return {
    folder,
    part: (owner) => pathOf(`${owner}${PART_SUFFIX}`),
    nameOf: (imageId, format) => `${imageId}.${format}`,
    pathOf,
    isWhole(file, sizeBytes) {
      const stats = lstatSync(pathOf(file), { throwIfNoEntry: false });
      return stats?.isFile() === true && stats.size === sizeBytes;
    },
    quarantine: (operationId) => join(state.quarantine, operationId),
    async prepare() {
      // QEMU's user passes through to the files, which are readable; it cannot list them.
      await mkdir(folder, { recursive: true, mode: 0o711 });
    },
    async orphanParts(owners, olderThanMs, now) {
      const found: string[] = [];
      for (const name of await readdir(folder)) {
        const owner = /^((?:op|upl)-[0-9a-z]{26})[.]/.exec(name)?.[1];
        if (owner === undefined || !name.endsWith(PART_SUFFIX) || owners.has(owner)) continue;
        const stats = await lstat(pathOf(name));
        if (stats.isFile() && now.getTime() - stats.mtimeMs > olderThanMs) found.push(pathOf(name));
      }
      return found;
    },
  };
}

/** Makes names in a folder survive a power cut. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Opens a file of the library: never through a link, never waiting at a pipe.
 *  @throws AppError foreign_file when what lies there is no plain file; system errors, as ENOENT */
async function openPlain(path: string, flags: number, mode?: number): Promise<FileHandle> {
  let handle: FileHandle;
  try {
    handle = await open(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, mode);
  } catch (error) {
    throw hasErrno(error, 'ELOOP', 'EISDIR', 'ENXIO', 'ENODEV', 'EEXIST') ? foreignFile() : error;
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw foreignFile();
}

function foreignFile(): AppError {
  return new AppError('foreign_file', {
    detail: 'In the place of a file of the image library lies a folder, a link or a device.',
  });
}

/** Opens a part to read and write; one that is made here survives a power cut with its name.
 *  @throws AppError foreign_file, no_space; system errors */
export async function openPart(path: string): Promise<FileHandle> {
  try {
    return await openPlain(path, constants.O_RDWR);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
  const handle = await openPlain(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    await syncFolder(dirname(path));
  } catch (error) {
    await handle.close();
    throw error;
  }
  return handle;
}

/** Size in bytes of a file of the library, or null when it is not there.
 *  @throws AppError foreign_file */
export async function plainSize(path: string): Promise<number | null> {
  try {
    const stats = await lstat(path);
    if (!stats.isFile()) throw foreignFile();
    return stats.size;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}

/** Gives a finished file its final name, read-only for everybody. Bears being repeated.
 *  @throws AppError foreign_file */
export async function publishFile(from: string, to: string): Promise<void> {
  try {
    const handle = await openPlain(from, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chmod(from, 0o444);
    await rename(from, to);
  } catch (error) {
    // An earlier life of this step renamed it.
    if (!hasErrno(error, 'ENOENT') || !(await isFile(to))) throw error;
  }
  await syncFolder(dirname(to));
}

export async function isFile(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isFile();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

/** Moves a file into a folder of the quarantine; what is not there is no failure.
 *  @throws AppError foreign_file when it is no plain file, which stays where it is */
export async function moveAway(path: string, folder: string): Promise<void> {
  if ((await plainSize(path)) === null) return;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    await rename(path, join(folder, path.slice(path.lastIndexOf('/') + 1)));
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
}

/** Removes a plain file; what is not there is no failure, and what is something else is not ours to remove. */
export async function removeFile(path: string): Promise<void> {
  if (await isFile(path)) await rm(path, { force: true });
}

/** Removes a folder of ours that is empty by now; what is in use stays. */
export async function removeEmptyFolder(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error;
  }
}

export interface Digests {
  readonly sha256: string;
  readonly sha512: string | null;
  readonly sizeBytes: number;
}

export interface DigestOptions {
  readonly withSha512: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/** The checksums of a file, read without following a link. @throws AppError foreign_file; the signal's reason */
export async function digestFile(path: string, { withSha512, signal, onProgress }: DigestOptions): Promise<Digests> {
  const handle = await openPlain(path, constants.O_RDONLY);
  try {
    const { size } = await handle.stat();
    const sha256 = createHash('sha256');
    const sha512 = withSha512 ? createHash('sha512') : null;
    const buffer = Buffer.alloc(READ_BYTES);
    let doneBytes = 0;
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, doneBytes);
      if (bytesRead === 0) break;
      sha256.update(buffer.subarray(0, bytesRead));
      sha512?.update(buffer.subarray(0, bytesRead));
      doneBytes += bytesRead;
      onProgress(doneBytes, size);
    }
    return { sha256: sha256.digest('hex'), sha512: sha512?.digest('hex') ?? null, sizeBytes: doneBytes };
  } finally {
    await handle.close();
  }
}
