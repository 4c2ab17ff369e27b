/** Repositories that are open while they are worked with, and what is in the way of that. */

import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type PlaceSecrets, type PlaceSettings, placeSchema } from '#contract/backups.ts';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import type { SecretSeal } from '#platform/sealed-secrets.ts';
import { readKeyFile } from '../key-file.ts';
import { placeOf } from '../places/index.ts';
import { requireMount } from '../places/mount.ts';
import {
  folderPlace,
  openRepository,
  openRepositoryAt,
  type Place,
  type PlacedRepository,
  type Repository,
} from '../store/index.ts';
import type { RepositoryRow } from '../tables.ts';
import type { RepositoryList } from './list.ts';

export interface OpenRepository extends Repository {
  /** Absolute; of another machine its title. */
  readonly folder: string;
  /** On another machine; null on this host. */
  readonly placed: PlacedRepository | null;
}

interface Opened {
  readonly repository: Repository;
  readonly placed: PlacedRepository | null;
}

export interface RepositoryOpening {
  /** Stays open for the next who asks. @throws repository_unreachable */
  open(id: string): Promise<OpenRepository>;
  /** With connections of its own, for long work; to be closed. The signal ends the work there at once. @throws repository_unreachable */
  openApart(id: string, signal: AbortSignal): Promise<OpenRepository>;
  /** As it lies there now, whatever was known of it. */
  openAnew(row: RepositoryRow): Promise<Opened>;
  /** Its place, for who copies there; to be closed. The signal ends the work there at once. @throws mount_missing */
  placeForCopy(id: string, signal: AbortSignal): Promise<Place>;
  /** Those that are given count, and of the others what can still be opened. @throws place_credentials_lost */
  secretsWith(row: RepositoryRow, given?: PlaceSecrets): PlaceSecrets;
  /** What was known of it no longer holds. */
  forget(id: string): void;
  /** Free bytes of its file system, and why it cannot be used. Nobody waits for another machine to see a list. */
  standing(row: RepositoryRow): Promise<{ readonly freeBytes: number | null; readonly problem: string | null }>;
}

/** Null on this host. */
export const placeSettingsOf = (row: RepositoryRow): PlaceSettings | null =>
  row.place === null ? null : placeSchema.parse(JSON.parse(row.place));

export function createRepositoryOpening(options: {
  readonly list: RepositoryList;
  readonly seal: SecretSeal;
  readonly space: SpaceLedger;
  readonly keyPath: (id: string) => string;
}): RepositoryOpening {
  const { list, seal, space, keyPath } = options;
  const opened = new Map<string, Promise<Opened>>();
  /** Why a place could not be used the last time. */
  const placeProblems = new Map<string, string>();

  /** @throws place_credentials_lost */
  const secretsOf = (row: RepositoryRow): PlaceSecrets => {
    try {
      return row.secrets === null ? {} : seal.open(row.id, row.secrets);
    } catch (cause) {
      throw new AppError('place_credentials_lost', {
        detail: `The credentials of "${row.name}" cannot be opened on this machine.`,
        cause,
      });
    }
  };
  const openRow = async (row: RepositoryRow, signal?: AbortSignal): Promise<Opened> => {
    const key = row.is_encrypted === 1 ? await readKeyFile(keyPath(row.id)) : null;
    const options = key === null ? {} : { key };
    const settings = placeSettingsOf(row);
    if (settings === null) return { repository: await openRepository(row.folder, options), placed: null };
    const place = placeOf(settings, secretsOf(row), signal);
    try {
      const placed = await openRepositoryAt(place, options);
      return { repository: placed, placed };
    } catch (error) {
      await place.close();
      throw error;
    }
  };
  /** A share or disk may be another one than the last time. */
  const requireSame = async (row: RepositoryRow, { id }: Repository) => {
    if (row.store_id === id) return;
    if (row.store_id !== null)
      throw new AppError('repository_mistaken', { detail: `Another repository than "${row.name}" lies in its place.` });
    await list.note(row.id, { store_id: id });
  };
  const close = (id: string) => {
    const known = opened.get(id);
    opened.delete(id);
    // One that could not be opened has nothing to close.
    known?.then(({ placed }) => placed?.close()).catch(() => undefined);
  };

  const openById = async (id: string): Promise<OpenRepository> => {
    const row = list.known(id);
    const known = opened.get(id);
    const opening = known ?? openRow(row);
    if (!known) opened.set(id, opening);
    // It may fail while the mount or the folder is still looked at, and is told of below.
    opening.catch(() => undefined);
    try {
      if (row.kind === 'mount') await requireMount(row.folder);
      // A disk that was taken out leaves an empty folder.
      if (row.place === null) await stat(join(row.folder, 'repo.json'));
      const { repository, placed } = await opening;
      await requireSame(row, repository);
      placeProblems.delete(id);
      return { ...repository, folder: row.folder, placed };
    } catch (error) {
      close(id);
      const told = unreachable(row, error);
      if (row.place !== null) placeProblems.set(id, told.message);
      throw told;
    }
  };

  return {
    open: openById,
    async openApart(id, signal) {
      const row = list.known(id);
      if (row.place === null) return openById(id);
      try {
        const { repository, placed } = await openRow(row, signal);
        await requireSame(row, repository);
        return { ...repository, folder: row.folder, placed };
      } catch (error) {
        signal.throwIfAborted();
        throw unreachable(row, error);
      }
    },
    openAnew: (row) => openRow(row),
    async placeForCopy(id, signal) {
      const row = list.known(id);
      const settings = placeSettingsOf(row);
      if (row.kind === 'mount') await requireMount(row.folder);
      return settings === null ? folderPlace(row.folder) : placeOf(settings, secretsOf(row), signal);
    },
    secretsWith(row, given = {}) {
      try {
        return { ...secretsOf(row), ...given };
      } catch (error) {
        if (!(error instanceof AppError) || Object.keys(given).length === 0) throw error;
        return given;
      }
    },
    forget(id) {
      close(id);
      placeProblems.delete(id);
    },
    standing: (row) =>
      row.place === null
        ? roomOf(row, space)
        : Promise.resolve({ freeBytes: null, problem: placeProblems.get(row.id) ?? null }),
  };
}

async function roomOf(row: RepositoryRow, space: SpaceLedger) {
  try {
    if (row.kind === 'mount') await requireMount(row.folder);
    // To read it tells more than that its name is there: a disk may be gone under it.
    await (await open(join(row.folder, 'repo.json'), 'r')).close();
    return { freeBytes: (await space.look(row.folder)).freeBytes, problem: null };
  } catch (error) {
    return { freeBytes: null, problem: unreachable(row, error).message };
  }
}

function unreachable(row: RepositoryRow, error: unknown): AppError {
  if (error instanceof AppError) return error;
  return new AppError('repository_unreachable', {
    detail: hasErrno(error, 'ENOENT', 'ENOTDIR')
      ? `The repository "${row.name}" is not in its folder.`
      : `The repository "${row.name}" cannot be read.`,
    cause: new Error(messageOf(error)),
  });
}
