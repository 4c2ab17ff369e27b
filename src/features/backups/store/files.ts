/** Files that are there whole or not at all, and stay after a power cut: written below `tmp`, synced, renamed, the folder synced. */

import { randomBytes } from 'node:crypto';
import { constants, openSync, unlinkSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';

const MKDIR_TRIES = 5;

/** How files of a repository are read, wherever they lie. Errors that have the code ENOENT say that a file is not there. */
export interface Files {
  /** A whole file. @throws UnfitFile for what is no plain file, or is longer than `maxBytes` */
  read(path: string, maxBytes: number): Promise<Buffer>;
  /** Entries of a folder; none when it is missing. */
  names(folder: string): Promise<string[]>;
  /** Bytes of a file; null when there is none. */
  sizeOf(path: string): Promise<number | null>;
}

/** Names of what one process writes: whoever finds one knows by the token whether it is still being written. */
export function temporaryName(tmp: string, token: string): string {
  return join(tmp, `${token}-${randomBytes(6).toString('hex')}`);
}

/** Writes `bytes` to `path`, over what is there. The folder is not synced: see `syncFolder`.
 *  @throws AppError no_space; nothing is left then */
export async function writeWhole(options: {
  readonly temporary: string;
  readonly path: string;
  readonly bytes: Uint8Array;
  /** Makes the folder of `path` when it is missing; told of each folder that has a new entry. */
  readonly onFolder: (folder: string) => void;
}): Promise<void> {
  const { temporary, path, bytes, onFolder } = options;
  try {
    const file = await open(temporary, 'wx', 0o640);
    try {
      await file.writeFile(bytes);
      await file.datasync();
    } finally {
      await file.close();
    }
    await renameInto(temporary, path, onFolder);
  } catch (error) {
    await rm(temporary, { force: true });
    throw asStoreError(error);
  }
}

async function renameInto(from: string, to: string, onFolder: (folder: string) => void): Promise<void> {
  const folder = dirname(to);
  for (let tries = 1; ; tries += 1) {
    try {
      await rename(from, to);
      break;
    } catch (error) {
      // A sweep that emptied the folder may remove it again at once.
      if (!hasErrno(error, 'ENOENT') || tries > MKDIR_TRIES) throw error;
      await mkdir(folder, { recursive: true, mode: 0o750 });
      onFolder(dirname(folder));
    }
  }
  onFolder(folder);
}

/** Makes sure that new entries of a folder stay. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (error) {
    throw asStoreError(error);
  } finally {
    await handle.close();
  }
}

/** Why a file of the repository is not read; for people. */
export class UnfitFile extends Error {}

/** A whole file. Nothing that a stranger put in its place is waited for, followed, or read into memory without end.
 *  @throws UnfitFile for what is no plain file, or is longer than `maxBytes`; ENOENT and others of the file system */
export async function readPlainFile(path: string, maxBytes: number): Promise<Buffer> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (hasErrno(cause, 'ELOOP', 'ENXIO')) throw new UnfitFile('it is not a plain file', { cause });
    throw cause;
  }
  try {
    const facts = await file.stat();
    if (!facts.isFile()) throw new UnfitFile('it is not a plain file');
    if (facts.size > maxBytes) throw new UnfitFile('it is longer than it can be');
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** A file that is gone by itself when the process ends. @param path nothing may be there @throws AppError no_space */
export async function openNameless(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return file;
  } catch (error) {
    throw asStoreError(error);
  }
}

/** The same for what works in one go. */
export function openNamelessSync(path: string): number {
  try {
    const file = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return file;
  } catch (error) {
    throw asStoreError(error);
  }
}

/** Fills `bytes`. @throws Error when the file ends before */
export async function readFully(file: FileHandle, bytes: Uint8Array, offsetBytes: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at, offsetBytes + at);
    if (bytesRead === 0) throw new Error('scratch of a repository is shorter than it was written');
    at += bytesRead;
  }
}

/** Entries of a folder; none when it is missing. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

/** Those of this host, by absolute paths. */
export const HOST_FILES: Files = {
  read: readPlainFile,
  names: namesIn,
  async sizeOf(path) {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (hasErrno(error, 'ENOENT')) return null;
      throw error;
    }
  },
};

/** What the file system says, in the words of the store. */
export function asStoreError(error: unknown): unknown {
  return hasErrno(error, 'ENOSPC', 'EDQUOT')
    ? new AppError('no_space', {
        detail: 'The file system of the repository is full; what was published before is complete.',
        hint: 'Free space there, or delete restore points and prune; then run it again: what was stored already is not stored twice.',
        cause: error,
      })
    : error;
}
