/** Where a copy of a repository lies: a folder, another host, object storage. A place knows files only, by paths that are counted from its
 *  root and joined by `/`; what they mean is told in docs/reference/backup-format.md.
 *
 *  A place fails in the words of `backupPlaceErrors`. What it answers is not believed: bytes that come from it are compared with digests. */

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { fileSystemOf } from '#platform/file-system.ts';
import { type Files, HOST_FILES, syncFolder, writeWhole } from './files.ts';

export interface PlaceEntry {
  /** Within its folder. */
  readonly name: string;
  readonly sizeBytes: number;
  /** By the clock of the place. */
  readonly modifiedMs: number;
}

export interface PlaceFile extends Omit<PlaceEntry, 'name'> {
  readonly path: string;
}

export interface PlaceHolds {
  /** Each file is held so long from when it is written. */
  readonly days: number;
  /** Holds a file for so long from now. */
  extend(path: string): Promise<void>;
}

/** What became of a file that was to go. `locked`: the place keeps it until a date. */
export type Removal = 'removed' | 'locked';

export interface Place extends Files {
  /** For people, without secrets: `sftp://backup@host/srv/hv`. */
  readonly title: string;
  /** Writes a file as a whole or not at all, over what is there, and makes its folders. It stays after a power cut over there, as far as the
   *  place can promise that. @throws AppError no_space */
  write(path: string, bytes: Buffer): Promise<void>;
  /** Files directly in a folder; none when it is missing. */
  entries(folder: string): Promise<PlaceEntry[]>;
  /** Files below a folder, at any depth, by their paths from the root. */
  walk(folder: string): AsyncIterable<PlaceFile>;
  /** A file that is not there counts as removed. */
  remove(path: string): Promise<Removal>;
  /** How the place keeps files from being deleted; null = it does not. */
  readonly holds: PlaceHolds | null;
  /** Bytes that can still be written; null when the place does not tell. */
  freeBytes(): Promise<number | null>;
  /** Lets connections go: requests that still wait for their answers fail at once, and the next one opens them again. */
  close(): Promise<void>;
}

/** Goes through folders one by one, for places that have no faster way. */
export async function* walkFolders(place: Pick<Place, 'names' | 'entries'>, folder: string): AsyncGenerator<PlaceFile> {
  const files = new Set<string>();
  for (const { name, ...facts } of await place.entries(folder)) {
    files.add(name);
    yield { path: `${folder}/${name}`, ...facts };
  }
  for (const name of await place.names(folder)) if (!files.has(name)) yield* walkFolders(place, `${folder}/${name}`);
}

/** Files that a copy writes at once. */
export const WRITERS_AT_ONCE = 8;

/** @param what for people: `The file system of …` */
export const placeFull = (what: string, cause: unknown): AppError =>
  new AppError('no_space', {
    detail: `${what} is full; restore points that are there are complete.`,
    hint: 'Free space there, or let fewer restore points stay there; then copy again: what was sent already is not sent twice.',
    cause,
  });

/** A folder of this host, as on a disk that is carried away or a mounted share. */
export function folderPlace(root: string): Place {
  const at = (path: string) => join(root, path);
  const temporary = at('tmp');
  const place: Place = {
    title: root,
    read: (path, maxBytes) => HOST_FILES.read(at(path), maxBytes),
    names: (folder) => HOST_FILES.names(at(folder)),
    sizeOf: (path) => HOST_FILES.sizeOf(at(path)),
    async write(path, bytes) {
      const folders = new Set<string>();
      try {
        await mkdir(temporary, { recursive: true, mode: 0o750 });
        await writeWhole({
          temporary: join(temporary, `copy-${randomBytes(8).toString('hex')}`),
          path: at(path),
          bytes,
          onFolder: (folder) => void folders.add(folder),
        });
        for (const folder of folders) await syncFolder(folder);
      } catch (error) {
        const isFull = hasErrno(error, 'ENOSPC', 'EDQUOT') || (error instanceof AppError && error.code === 'no_space');
        throw isFull ? placeFull(`The file system of ${root}`, error) : error;
      }
    },
    async entries(folder) {
      const found: PlaceEntry[] = [];
      for (const entry of await filesOf(at(folder))) {
        const facts = await stat(join(at(folder), entry)).catch((error: unknown) => {
          if (hasErrno(error, 'ENOENT')) return null;
          throw error;
        });
        if (facts) found.push({ name: entry, sizeBytes: facts.size, modifiedMs: facts.mtimeMs });
      }
      return found;
    },
    walk: (folder) => walkFolders(place, folder),
    async remove(path) {
      await rm(at(path), { force: true });
      return 'removed';
    },
    holds: null,
    async freeBytes() {
      return (await fileSystemOf(root)).availableBytes;
    },
    close: async () => undefined,
  };
  return place;
}

async function filesOf(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isFile()).map(({ name }) => name);
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}
