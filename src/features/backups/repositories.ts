/** Where backups lie: the list of repositories, their keys, and each of them open while it is worked with. */

import { open, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type BackupRepository, type PlaceSecrets, type PlaceSettings, placeSchema } from '#contract/backups.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import type { SecretSeal } from '#platform/sealed-secrets.ts';
import { readKeyFile, writeKeyFile } from './key-file.ts';
import { placeOf, provePlace } from './places/index.ts';
import { requireMount } from './places/mount.ts';
import {
  createRepository,
  folderPlace,
  newRecoveryKey,
  newRepositoryKey,
  openRepository,
  openRepositoryAt,
  type Place,
  type PlacedRepository,
  type Repository,
  readRecoveryKey,
} from './store/index.ts';
import type { BackupTables, RepositoryRow } from './tables.ts';

export interface OpenRepository extends Repository {
  /** Absolute; of another machine its title. */
  readonly folder: string;
  /** On another machine; null on this host. */
  readonly placed: PlacedRepository | null;
}

export interface RepositoryOrder {
  readonly name: string;
  readonly folder: string;
  readonly isEncrypted: boolean;
  readonly compression: 'default' | 'better';
  readonly requiresMount?: boolean;
  /** The folder holds one already. */
  readonly existing: boolean;
  readonly recoveryKey?: string | undefined;
}

/** A repository on another machine: a copy, or one that is to be read here. */
export interface PlaceOrder {
  readonly name: string;
  readonly place: PlaceSettings;
  readonly secrets: PlaceSecrets;
  readonly existing: boolean;
  readonly recoveryKey?: string | undefined;
}

export interface Repositories {
  load(): Promise<void>;
  list(): readonly RepositoryRow[];
  find(idOrName: string): RepositoryRow | null;
  /** @throws not_found */
  get(idOrName: string): RepositoryRow;
  /** The one in the state folder; made when it is first needed. */
  default(): Promise<RepositoryRow>;
  create(order: RepositoryOrder): Promise<{ readonly row: RepositoryRow; readonly recoveryKey: string | null }>;
  /** @throws what places fail with, as host_key_unknown; key_needed, key_wrong */
  createPlaced(order: PlaceOrder): Promise<RepositoryRow>;
  /** Other credentials, or another host key. @throws wrong_state for a folder; place_credentials_lost; what places fail with */
  changePlace(row: RepositoryRow, change: PlaceChange): Promise<void>;
  /** From now on it is the copy of another one, and is opened with that one's key. @throws copy_of_another, repository_unreachable */
  becomeCopy(row: RepositoryRow, source: RepositoryRow): Promise<void>;
  /** Its place, for who copies there; to be closed. The signal ends the work there at once. @throws mount_missing */
  placeForCopy(id: string, signal: AbortSignal): Promise<Place>;
  /** @throws key_wrong */
  confirm(row: RepositoryRow, recoveryKey: string): Promise<void>;
  /** Its files stay, and its key too: it can be taken over again. */
  forget(row: RepositoryRow): Promise<void>;
  scanned(id: string): Promise<void>;
  /** @throws repository_unreachable */
  open(id: string): Promise<OpenRepository>;
  /** With connections of its own, for long work; to be closed. The signal ends the work there at once. @throws repository_unreachable */
  openApart(id: string, signal: AbortSignal): Promise<OpenRepository>;
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

const DEFAULT_NAME = 'default';

interface Opened {
  readonly repository: Repository;
  readonly placed: PlacedRepository | null;
}

const secretTexts = (secrets: PlaceSecrets): Record<string, string> =>
  Object.fromEntries(Object.entries(secrets).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

export function createRepositories(options: RepositoriesOptions): Repositories {
  const { db, events, clock, space, stateFolder, seal, pointsIn } = options;
  const tables = () => db.tables<BackupTables>();
  const keyPath = (id: string) => join(stateFolder, 'keys', 'repositories', `${id}.key`);
  const opened = new Map<string, Promise<Opened>>();
  /** Why a place could not be used the last time. */
  const placeProblems = new Map<string, string>();
  let rows: readonly RepositoryRow[] = [];
  let making: Promise<RepositoryRow> | null = null;

  const load = async () => {
    rows = await tables().selectFrom('repository').selectAll().orderBy('name').execute();
  };
  const changed = async (id: string) => {
    await load();
    events.emit('repository.changed', { id });
  };
  const find: Repositories['find'] = (idOrName) =>
    rows.find(({ id }) => id === idOrName) ?? rows.find(({ name }) => name === idOrName) ?? null;

  const settingsOf = (row: RepositoryRow): PlaceSettings | null =>
    row.place === null ? null : placeSchema.parse(JSON.parse(row.place));
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
  /** Those that are given count, and of the others what can still be opened. */
  const mergedSecrets = (row: RepositoryRow, given: PlaceSecrets = {}): PlaceSecrets => {
    try {
      return { ...secretsOf(row), ...given };
    } catch (error) {
      if (!(error instanceof AppError) || Object.keys(given).length === 0) throw error;
      return given;
    }
  };

  const openRow = async (row: RepositoryRow, signal?: AbortSignal): Promise<Opened> => {
    const key = row.is_encrypted === 1 ? await readKeyFile(keyPath(row.id)) : null;
    const options = key === null ? {} : { key };
    const settings = settingsOf(row);
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
    await tables().updateTable('repository').set({ store_id: id }).where('id', '=', row.id).execute();
    await load();
  };
  const forgetOpened = (id: string) => {
    const known = opened.get(id);
    opened.delete(id);
    // One that could not be opened has nothing to close.
    known?.then(({ placed }) => placed?.close()).catch(() => undefined);
  };

  const openById = async (id: string): Promise<OpenRepository> => {
    const row = find(id);
    if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
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
      forgetOpened(id);
      const told = unreachable(row, error);
      if (row.place !== null) placeProblems.set(id, told.message);
      throw told;
    }
  };

  const insert = async (row: RepositoryRow) => {
    await tables().insertInto('repository').values(row).execute();
    await changed(row.id);
    return row;
  };

  const requireFree = async (name: string, folder: string) => {
    if (rows.some((row) => row.name === name))
      throw new AppError('already_exists', { detail: `There is a repository "${name}" already.` });
    const overlap = rows.find((row) => isWithin(row.folder, folder) || isWithin(folder, row.folder));
    if (overlap)
      throw new AppError('already_exists', {
        detail: `The folder is that of the repository "${overlap.name}", or lies in it, or around it.`,
        hint: 'Choose a folder of its own.',
      });
    if (isWithin(stateFolder, folder) || isWithin(folder, stateFolder))
      throw new AppError('invalid_input', {
        detail: 'The folder lies in the state folder of hyperd, or around it.',
        hint: 'Choose a folder on another disk: what is lost with the disks of the VMs is no backup.',
      });
  };

  const rowOf = (order: Omit<RepositoryOrder, 'existing' | 'recoveryKey'>, id: string, isConfirmed: boolean) => ({
    id,
    name: order.name,
    folder: order.folder,
    compression: order.compression,
    is_encrypted: order.isEncrypted ? 1 : 0,
    is_confirmed: isConfirmed ? 1 : 0,
    is_default: 0,
    created_at: clock.now().toISOString(),
    scanned_at: null,
    kind: order.requiresMount === true ? ('mount' as const) : ('folder' as const),
    place: null,
    secrets: null,
    store_id: null,
    is_copy: 0,
  });

  const takeOver = async (order: RepositoryOrder) => {
    const key = order.recoveryKey === undefined ? undefined : readRecoveryKey(order.recoveryKey);
    const {
      isEncrypted,
      compression,
      id: store_id,
    } = await openRepository(order.folder, key === undefined ? {} : { key });
    if (isEncrypted && key === undefined) throw new AppError('key_needed');
    const id = newId('repo', clock.now().getTime());
    if (isEncrypted && key !== undefined) await writeKeyFile(keyPath(id), key);
    return insert({ ...rowOf({ ...order, isEncrypted, compression }, id, true), store_id });
  };

  const make = async (order: Omit<RepositoryOrder, 'existing' | 'recoveryKey'>) => {
    const id = newId('repo', clock.now().getTime());
    if (!order.isEncrypted) {
      const made = await createRepository(order.folder, { compression: order.compression, encryption: null });
      return { row: { ...rowOf(order, id, true), store_id: made.id }, recoveryKey: null };
    }
    const [key, recoveryKey] = [newRepositoryKey(), newRecoveryKey()];
    // The key first: a repository whose key is nowhere is lost.
    await writeKeyFile(keyPath(id), key);
    const encryption = { key, recoveryKey: readRecoveryKey(recoveryKey) };
    try {
      const made = await createRepository(order.folder, { compression: order.compression, encryption });
      return { row: { ...rowOf(order, id, false), store_id: made.id }, recoveryKey };
    } catch (error) {
      await rm(keyPath(id), { force: true });
      throw error;
    }
  };

  const makeDefault = async (): Promise<RepositoryRow> => {
    const folder = join(stateFolder, 'repositories', DEFAULT_NAME);
    const order = { name: DEFAULT_NAME, folder, isEncrypted: false, compression: 'default' } as const;
    // Another run of hyperd may have made it and died before it wrote that down.
    const isThere = await stat(join(folder, 'repo.json')).then(
      () => true,
      () => false,
    );
    if (!isThere) await rm(folder, { recursive: true, force: true });
    const { row } = isThere ? { row: rowOf(order, newId('repo', clock.now().getTime()), true) } : await make(order);
    return insert({ ...row, is_default: 1 });
  };

  return {
    load,
    list: () => rows,
    find,
    get(idOrName) {
      const row = find(idOrName);
      if (!row) throw new AppError('not_found', { detail: `There is no repository "${idOrName.slice(0, 80)}".` });
      return row;
    },
    async default() {
      const known = rows.find(({ is_default }) => is_default === 1);
      if (known) return known;
      making ??= makeDefault().finally(() => {
        making = null;
      });
      return making;
    },
    async create(order) {
      const folder = resolve(order.folder);
      await requireFree(order.name, folder);
      if (order.requiresMount === true) await requireMount(folder);
      if (order.existing) return { row: await takeOver({ ...order, folder }), recoveryKey: null };
      const { row, recoveryKey } = await make({ ...order, folder });
      return { row: await insert(row), recoveryKey };
    },
    async createPlaced({ name, place: settings, secrets, existing, recoveryKey }) {
      const place = placeOf(settings, secrets);
      const { title } = place;
      if (rows.some((row) => row.name === name || row.folder === title))
        throw new AppError('already_exists', { detail: `There is a repository "${name}" or at ${title} already.` });
      const id = newId('repo', clock.now().getTime());
      const key = recoveryKey === undefined ? undefined : readRecoveryKey(recoveryKey);
      const found = { isEncrypted: false, compression: 'default' as const, store_id: null };
      try {
        if (!existing) await provePlace(settings, secrets);
        const there = existing ? await openRepositoryAt(place, key === undefined ? {} : { key }) : null;
        if (there?.isEncrypted && key === undefined) throw new AppError('key_needed');
        const { isEncrypted, compression, store_id } = there ? { ...there, store_id: there.id } : found;
        if (isEncrypted && key !== undefined) await writeKeyFile(keyPath(id), key);
        return await insert({
          ...rowOf({ name, folder: title, isEncrypted, compression }, id, true),
          kind: settings.kind,
          place: JSON.stringify(settings),
          secrets: seal.seal(id, secretTexts(secrets)),
          store_id,
          is_copy: existing ? 0 : 1,
        });
      } finally {
        await place.close();
      }
    },
    async changePlace(row, { hostKey, accessKey, secrets }) {
      const before = settingsOf(row);
      if (before === null)
        throw new AppError('wrong_state', { detail: `"${row.name}" lies on this host and needs no credentials.` });
      const settings = placeSchema.parse({
        ...before,
        ...(hostKey === undefined ? {} : { hostKey }),
        ...(accessKey === undefined ? {} : { accessKey }),
      });
      const merged = mergedSecrets(row, secrets);
      await provePlace(settings, merged);
      await tables()
        .updateTable('repository')
        .set({ place: JSON.stringify(settings), secrets: seal.seal(row.id, secretTexts(merged)) })
        .where('id', '=', row.id)
        .execute();
      forgetOpened(row.id);
      placeProblems.delete(row.id);
      await changed(row.id);
    },
    async becomeCopy(row, { id: sourceId }) {
      // A place on another machine is empty; a folder was made a repository of its own.
      if (row.place === null && row.store_id !== find(sourceId)?.store_id) {
        if (row.kind === 'mount') await requireMount(row.folder);
        const source = await openById(sourceId);
        // Opened as it lies there: an earlier try may not have come to write down what it did.
        const there = await openRow(row);
        await there.repository.becomeCopyOf(source);
      }
      const source = find(sourceId);
      if (!source) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
      if (source.is_encrypted === 1) await writeKeyFile(keyPath(row.id), await readKeyFile(keyPath(source.id)));
      await tables()
        .updateTable('repository')
        .set({
          is_copy: 1,
          is_encrypted: source.is_encrypted,
          is_confirmed: source.is_confirmed,
          compression: source.compression,
          store_id: source.store_id,
        })
        .where('id', '=', row.id)
        .execute();
      forgetOpened(row.id);
      await changed(row.id);
    },
    async placeForCopy(id, signal) {
      const row = find(id);
      if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
      const settings = settingsOf(row);
      if (row.kind === 'mount') await requireMount(row.folder);
      return settings === null ? folderPlace(row.folder) : placeOf(settings, secretsOf(row), signal);
    },
    async confirm(row, recoveryKey) {
      if (row.is_encrypted === 0)
        throw new AppError('wrong_state', {
          detail: `"${row.name}" is not encrypted.`,
          hint: 'There is no recovery key to confirm.',
        });
      await openRepository(row.folder, { key: readRecoveryKey(recoveryKey) });
      await tables().updateTable('repository').set({ is_confirmed: 1 }).where('id', '=', row.id).execute();
      await changed(row.id);
    },
    async forget(row) {
      forgetOpened(row.id);
      await tables().deleteFrom('repository').where('id', '=', row.id).execute();
      await changed(row.id);
    },
    async scanned(id) {
      const scanned_at = clock.now().toISOString();
      await tables().updateTable('repository').set({ scanned_at }).where('id', '=', id).execute();
      await changed(id);
    },
    async openApart(id, signal) {
      const row = find(id);
      if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
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
    open: openById,
    place(id) {
      const row = find(id);
      if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
      return { folder: row.folder, keyPath: row.is_encrypted === 1 ? keyPath(row.id) : null };
    },
    async view(row, isFolderShown) {
      const settings = settingsOf(row);
      // Nobody waits for another machine to see a list.
      const { freeBytes, problem } =
        settings === null ? await roomOf(row, space) : { freeBytes: null, problem: placeProblems.get(row.id) ?? null };
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

const isWithin = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
