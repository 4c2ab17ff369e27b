/** Where backups lie: the list of repositories, their keys, and each of them open while it is worked with. */

import { join } from 'node:path';
import { type BackupRepository, type PlaceSecrets, placeSchema } from '#contract/backups.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Database } from '#platform/db/database.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import type { SecretSeal } from '#platform/sealed-secrets.ts';
import { readKeyFile, writeKeyFile } from './key-file.ts';
import { provePlace } from './places/index.ts';
import { requireMount } from './places/mount.ts';
import { createRepositoryList } from './repositories/list.ts';
import { createRepositoryMaking, type RepositoryMaking, secretTexts } from './repositories/making.ts';
import { createRepositoryOpening, placeSettingsOf, type RepositoryOpening } from './repositories/opening.ts';
import { openRepository, readRecoveryKey } from './store/index.ts';
import type { RepositoryRow } from './tables.ts';

export type { OpenRepository } from './repositories/opening.ts';

export interface Repositories extends RepositoryMaking, Pick<RepositoryOpening, 'open' | 'openApart' | 'placeForCopy'> {
  load(): Promise<void>;
  list(): readonly RepositoryRow[];
  find(idOrName: string): RepositoryRow | null;
  /** @throws not_found */
  get(idOrName: string): RepositoryRow;
  /** Other credentials, or another host key. @throws wrong_state for a folder; place_credentials_lost; what places fail with */
  changePlace(row: RepositoryRow, change: PlaceChange): Promise<void>;
  /** From now on it is the copy of another one, and is opened with that one's key. @throws copy_of_another, repository_unreachable */
  becomeCopy(row: RepositoryRow, source: RepositoryRow): Promise<void>;
  /** @throws key_wrong */
  confirm(row: RepositoryRow, recoveryKey: string): Promise<void>;
  /** Its files stay, and its key too: it can be taken over again. */
  forget(row: RepositoryRow): Promise<void>;
  scanned(id: string): Promise<void>;
  view(row: RepositoryRow, isFolderShown: boolean): Promise<BackupRepository>;
  /** Where another process of ours finds it, and the file with its key. @throws not_found */
  place(id: string): { readonly folder: string; readonly keyPath: string | null };
}

export interface PlaceChange {
  readonly hostKey?: string | undefined;
  readonly accessKey?: string | undefined;
  readonly secrets?: PlaceSecrets | undefined;
}

export interface RepositoriesOptions {
  readonly seal: SecretSeal;
  readonly db: Database;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly space: SpaceLedger;
  readonly stateFolder: string;
  /** How many restore points are known in it. */
  pointsIn(repositoryId: string): number;
}

export function createRepositories(options: RepositoriesOptions): Repositories {
  const { db, events, clock, space, stateFolder, seal, pointsIn } = options;
  const keyPath = (id: string) => join(stateFolder, 'keys', 'repositories', `${id}.key`);
  const list = createRepositoryList(db, events);
  const opening = createRepositoryOpening({ list, seal, space, keyPath });
  const { open, openApart, placeForCopy } = opening;

  return {
    ...createRepositoryMaking({ list, seal, clock, stateFolder, keyPath }),
    ...{ open, openApart, placeForCopy },
    load: list.load,
    list: list.all,
    find: list.find,
    get: list.get,
    async changePlace(row, { hostKey, accessKey, secrets }) {
      const before = placeSettingsOf(row);
      if (before === null)
        throw new AppError('wrong_state', { detail: `"${row.name}" lies on this host and needs no credentials.` });
      const settings = placeSchema.parse({
        ...before,
        ...(hostKey === undefined ? {} : { hostKey }),
        ...(accessKey === undefined ? {} : { accessKey }),
      });
      const merged = opening.secretsWith(row, secrets);
      await provePlace(settings, merged);
      const sealed = seal.seal(row.id, secretTexts(merged));
      await list.note(row.id, { place: JSON.stringify(settings), secrets: sealed });
      opening.forget(row.id);
      events.emit('repository.changed', { id: row.id });
    },
    async becomeCopy(row, { id: sourceId }) {
      // A place on another machine is empty; a folder was made a repository of its own.
      if (row.place === null && row.store_id !== list.find(sourceId)?.store_id) {
        if (row.kind === 'mount') await requireMount(row.folder);
        const source = await open(sourceId);
        // An earlier try may not have come to write down what it did.
        const there = await opening.openAnew(row);
        await there.repository.becomeCopyOf(source);
      }
      const source = list.known(sourceId);
      if (source.is_encrypted === 1) await writeKeyFile(keyPath(row.id), await readKeyFile(keyPath(source.id)));
      const { is_encrypted, is_confirmed, compression, store_id } = source;
      await list.note(row.id, { is_copy: 1, is_encrypted, is_confirmed, compression, store_id });
      opening.forget(row.id);
      events.emit('repository.changed', { id: row.id });
    },
    async confirm(row, recoveryKey) {
      if (row.is_encrypted === 0)
        throw new AppError('wrong_state', {
          detail: `"${row.name}" is not encrypted.`,
          hint: 'There is no recovery key to confirm.',
        });
      await openRepository(row.folder, { key: readRecoveryKey(recoveryKey) });
      await list.change(row.id, { is_confirmed: 1 });
    },
    async forget(row) {
      opening.forget(row.id);
      await list.remove(row.id);
    },
    scanned: (id) => list.change(id, { scanned_at: clock.now().toISOString() }),
    place(id) {
      const { folder, is_encrypted } = list.known(id);
      return { folder, keyPath: is_encrypted === 1 ? keyPath(id) : null };
    },
    async view(row, isFolderShown) {
      const settings = placeSettingsOf(row);
      const { freeBytes, problem } = await opening.standing(row);
      return {
        id: row.id,
        name: row.name,
        kind: row.kind,
        place: isFolderShown ? row.folder : null,
        hostKey: settings?.kind === 'sftp' ? settings.hostKey : null,
        lockDays: settings?.kind === 's3' ? settings.lockDays : null,
        isCopy: row.is_copy === 1,
        folder: isFolderShown && settings === null ? row.folder : null,
        isDefault: row.is_default === 1,
        isEncrypted: row.is_encrypted === 1,
        compression: row.compression,
        state: problem !== null ? 'unreachable' : row.is_confirmed === 1 ? 'ready' : 'unconfirmed',
        problem,
        points: pointsIn(row.id),
        freeBytes,
        createdAt: row.created_at,
        scannedAt: row.scanned_at,
      };
    },
  };
}
