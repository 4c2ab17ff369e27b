/** Opens an image that a stranger gave us: never through a link, never a pipe or device, and always the same file from the
 *  first look to the last. */

import { constants, type Stats } from 'node:fs';
import { link, lstat, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { refused } from './refusal.ts';

/** The most that one read may ask for: no header needs more. */
const MAX_READ_BYTES = 2 ** 20;

/** Which file it was, to be compared by fd when it is opened again. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface ImageFile {
  readonly identity: FileIdentity;
  /** Up to `length` bytes (at most 1 MiB) from `offset`; fewer at the end of the file, none beyond it. */
  read(offset: number, length: number): Promise<Buffer>;
  /** A name for exactly this file in a folder of ours alone, for programs that want a path. Gone when the work ends. */
  pin(): Promise<string>;
}

function identityOf(stats: Stats): FileIdentity {
  return { device: stats.dev, inode: stats.ino, sizeBytes: stats.size, modifiedMs: stats.mtimeMs };
}

function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.device === b.device && a.inode === b.inode && a.sizeBytes === b.sizeBytes && a.modifiedMs === b.modifiedMs;
}

/** Runs `work` on the file at `path` and makes sure that `path` still means the same unchanged file afterwards.
 *  @param scratchDir a folder on the same file system that only we can write
 *  @throws AppError `image_refused` (not_a_regular_file, changed); system errors such as ENOENT as they are */
export async function withImageFile<T>(
  path: string,
  scratchDir: string,
  work: (file: ImageFile) => Promise<T>,
): Promise<T> {
  const handle = await openWithoutFollowing(path);
  let pinFolder: string | null = null;
  let pinned: string | null = null;
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw refused('not_a_regular_file');
    const identity = identityOf(stats);
    const result = await work({
      identity,
      async read(offset, length) {
        if (!Number.isSafeInteger(offset) || offset < 0 || offset >= identity.sizeBytes) return Buffer.alloc(0);
        const wanted = Math.min(length, MAX_READ_BYTES, identity.sizeBytes - offset);
        const { buffer, bytesRead } = await handle.read(Buffer.alloc(wanted), 0, wanted, offset);
        return buffer.subarray(0, bytesRead);
      },
      async pin() {
        if (pinned !== null) return pinned;
        pinFolder ??= await mkdtemp(join(scratchDir, '.inspect-'));
        const name = join(pinFolder, 'image');
        // A hard link is made of whatever the path means now; if that is not what we opened, someone swapped it.
        await orChanged(link(path, name));
        if (!isSameFile(identityOf(await lstat(name)), identity)) throw refused('changed');
        pinned = name;
        return name;
      },
    });
    for (const stillIs of [await handle.stat(), await orChanged(lstat(path))]) {
      if (!isSameFile(identityOf(stillIs), identity)) throw refused('changed');
    }
    return result;
  } finally {
    await handle.close();
    if (pinFolder !== null) await rm(pinFolder, { recursive: true, force: true });
  }
}

/** A file that is gone after we opened it was taken away meanwhile. */
async function orChanged<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) throw refused('changed', { cause: error });
    throw error;
  }
}

async function openWithoutFollowing(path: string) {
  try {
    // O_NONBLOCK: opening a pipe would otherwise wait for its writer.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (hasErrno(error, 'ELOOP', 'ENXIO', 'ENODEV')) throw refused('not_a_regular_file', { cause: error });
    throw error;
  }
}
