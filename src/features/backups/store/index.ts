/** The repository of backups: chunks addressed by content, restore points that are whole in themselves.
 *  A folder and keys are all it knows: no libvirt, no HTTP, no database. Format: docs/reference/backup-format.md. */

import { chmod, mkdir, readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { backupPlaceErrors } from '#contract/backup-places.ts';
import { backupStoreErrors } from '#contract/backup-store.ts';
import { AppError, hasErrno, registerErrors } from '#kernel/errors.ts';
import { newUuid } from '#kernel/ids.ts';
import { MIB } from '#kernel/units.ts';
import type { Core } from './core.ts';
import { sealEnvelope } from './envelope.ts';
import { syncFolder, temporaryName, writeWhole } from './files.ts';
import { newMasterKey, type RepositoryKeys } from './keys.ts';
import { layoutOf } from './layout.ts';
import { makeSpares } from './lease.ts';
import type { Place } from './place.ts';
import { createSharedPool } from './pool.ts';
import { type PlacedRepository, placedRepositoryOf, type Repository, repositoryOf } from './repository.ts';
import { readSettings, type Settings } from './settings.ts';

export type { CheckReport } from './check.ts';
export type { DiskImage } from './disk-image.ts';
export type { DiskWriter } from './disk-writer.ts';
export { openEnvelope, sealEnvelope } from './envelope.ts';
export { UnfitFile } from './files.ts';
export { newRecoveryKey, newRepositoryKey, readRecoveryKey } from './keys.ts';
export type { Manifest, ManifestBody } from './manifest.ts';
export type { Place, PlaceEntry, PlaceFile } from './place.ts';
export { folderPlace, placeFull, WRITERS_AT_ONCE, walkFolders } from './place.ts';
export type { PruneResult } from './prune.ts';
export type { PlacedRepository, PointDocuments, PointEntry, Repository } from './repository.ts';
export type { RepositoryWriter } from './writer.ts';

registerErrors(backupStoreErrors);
registerErrors(backupPlaceErrors);

const CHUNK_SIZE_BYTES = MIB;
const LEVELS = { default: 1, better: 6 } as const;

export interface RepositoryChoices {
  /** `default` keeps up with disks; `better` takes several times the processor time for some percent. */
  readonly compression: Settings['compression'];
  /** `key`: 32 bytes of a key file, see `newRepositoryKey`. `recoveryKey`: what `readRecoveryKey` made of what was typed back, so that
   *  nobody has a repository whose recovery key he never wrote down. */
  readonly encryption: { readonly key: Buffer; readonly recoveryKey: Buffer } | null;
  /** Constant for the life of the repository; 1 MiB. */
  readonly chunkSizeBytes?: number;
}

/** Makes a repository in an empty folder, or in one that does not exist yet.
 *  @throws AppError repository_exists, no_space */
export async function createRepository(folder: string, choices: RepositoryChoices): Promise<Repository> {
  const layout = layoutOf(resolve(folder));
  await mkdir(layout.folder, { recursive: true, mode: 0o750 });
  if ((await readdir(layout.folder)).some((name) => name !== 'lost+found')) throw new AppError('repository_exists');
  await chmod(layout.folder, 0o750);
  const id = newUuid();
  const wrapped = choices.encryption && newMasterKey(id, choices.encryption);
  const settings: Settings = {
    format: 1,
    id,
    createdAt: new Date().toISOString(),
    chunkSizeBytes: choices.chunkSizeBytes ?? CHUNK_SIZE_BYTES,
    compression: choices.compression,
    encryption: wrapped && { kdf: 'hkdf-sha-256', wrappedKeys: wrapped.wrappedKeys },
  };
  const bytes = sealEnvelope(settings, wrapped?.keys.mac ?? null);
  const { chunks, manifests, quarantine, damage, locks, tmp } = layout;
  for (const made of [chunks, manifests, quarantine, damage, locks, tmp]) await mkdir(made, { mode: 0o750 });
  await makeSpares(layout);
  // The last file that is written is the first that is looked for.
  for (const path of [...layout.settings].reverse())
    await writeWhole({ temporary: temporaryName(tmp, 'new'), path, bytes, onFolder: () => undefined });
  await syncFolder(layout.folder);
  return repositoryOf(coreOf({ folder: layout.folder, settings, keys: wrapped?.keys ?? null, bytes }));
}

/** Opens the repository of a folder.
 *  @param options.key the bytes of its key file or of its recovery key. Without it an encrypted one can be listed, pruned and checked for
 *  digests, not read or written
 *  @throws AppError repository_not_found, repository_damaged, repository_unsupported, key_wrong */
export async function openRepository(folder: string, options: { readonly key?: Buffer } = {}): Promise<Repository> {
  const layout = layoutOf(resolve(folder));
  const { settings, keys, bytes } = await readSettings(layout, options.key ?? null);
  for (const part of [layout.quarantine, layout.damage, layout.locks, layout.tmp, layout.chunks, layout.manifests])
    await makeAgain(part);
  return repositoryOf(coreOf({ folder: layout.folder, settings, keys, bytes }));
}

/** Opens the repository that lies at another place.
 *  @throws AppError as `openRepository`, and what the place fails with */
export async function openRepositoryAt(
  place: Place,
  options: { readonly key?: Buffer } = {},
): Promise<PlacedRepository> {
  const { settings, keys, bytes } = await readSettings(layoutOf('', place), options.key ?? null);
  return placedRepositoryOf(coreOf({ folder: '', place, settings, keys, bytes }), place);
}

function coreOf(opened: {
  readonly folder: string;
  readonly place?: Place;
  readonly settings: Settings;
  readonly keys: RepositoryKeys | null;
  readonly bytes: Buffer;
}): Core {
  const { folder, place, settings, keys, bytes } = opened;
  const isEncrypted = settings.encryption !== null;
  return {
    layout: layoutOf(folder, place),
    settings,
    keys,
    isEncrypted,
    settingsBytes: bytes,
    chunkSizeBytes: settings.chunkSizeBytes,
    macKey: !isEncrypted ? null : (keys?.mac ?? 'unknown'),
    threads: createSharedPool({
      folder,
      keys,
      isEncrypted,
      level: LEVELS[settings.compression],
      maxChunkBytes: settings.chunkSizeBytes,
    }),
  };
}

/** Copies leave empty folders out. */
async function makeAgain(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o750 });
  } catch (error) {
    if (!hasErrno(error, 'EROFS', 'EEXIST')) throw error;
  }
}
