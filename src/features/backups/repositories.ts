/** Where backups lie: the list of repositories, their keys, and each of them open while it is worked with. */

import { open, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { BackupRepository } from '#contract/backups.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Database } from '#platform/db/database.ts';
import type { SpaceLedger } from '#platform/disk-space.ts';
import { readKeyFile, writeKeyFile } from './key-file.ts';
import {
  createRepository,
  newRecoveryKey,
  newRepositoryKey,
  openRepository,
  type Repository,
  readRecoveryKey,
} from './store/index.ts';
import type { BackupTables, RepositoryRow } from './tables.ts';

export interface OpenRepository extends Repository {
  /** Absolute. */
  readonly folder: string;
}

export interface RepositoryOrder {
  readonly name: string;
  readonly folder: string;
  readonly isEncrypted: boolean;
  readonly compression: 'default' | 'better';
  /** The folder holds one already. */
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
  /** @throws key_wrong */
  confirm(row: RepositoryRow, recoveryKey: string): Promise<void>;
  /** Its files stay, and its key too: it can be taken over again. */
  forget(row: RepositoryRow): Promise<void>;
  scanned(id: string): Promise<void>;
  /** @throws repository_unreachable */
  open(id: string): Promise<OpenRepository>;
  view(row: RepositoryRow, isFolderShown: boolean): Promise<BackupRepository>;
  /** Where another process of ours finds it, and the file with its key. @throws not_found */
  place(id: string): { readonly folder: string; readonly keyPath: string | null };
}

export interface RepositoriesOptions {
  readonly db: Database;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly space: SpaceLedger;
  readonly stateFolder: string;
  /** How many restore points are known in it. */
  pointsIn(repositoryId: string): number;
}

const DEFAULT_NAME = 'default';

export function createRepositories(options: RepositoriesOptions): Repositories {
  const { db, events, clock, space, stateFolder, pointsIn } = options;
  const tables = () => db.tables<BackupTables>();
  const keyPath = (id: string) => join(stateFolder, 'keys', 'repositories', `${id}.key`);
  const opened = new Map<string, Promise<Repository>>();
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

  const openRow = async (row: RepositoryRow): Promise<Repository> => {
    const key = row.is_encrypted === 1 ? await readKeyFile(keyPath(row.id)) : null;
    return openRepository(row.folder, key === null ? {} : { key });
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
  });

  const takeOver = async (order: RepositoryOrder) => {
    const key = order.recoveryKey === undefined ? undefined : readRecoveryKey(order.recoveryKey);
    const { isEncrypted, compression } = await openRepository(order.folder, key === undefined ? {} : { key });
    if (isEncrypted && key === undefined) throw new AppError('key_needed');
    const id = newId('repo', clock.now().getTime());
    if (isEncrypted && key !== undefined) await writeKeyFile(keyPath(id), key);
    return insert(rowOf({ ...order, isEncrypted, compression }, id, true));
  };

  const make = async (order: Omit<RepositoryOrder, 'existing' | 'recoveryKey'>) => {
    const id = newId('repo', clock.now().getTime());
    if (!order.isEncrypted) {
      await createRepository(order.folder, { compression: order.compression, encryption: null });
      return { row: rowOf(order, id, true), recoveryKey: null };
    }
    const [key, recoveryKey] = [newRepositoryKey(), newRecoveryKey()];
    // The key first: a repository whose key is nowhere is lost.
    await writeKeyFile(keyPath(id), key);
    const encryption = { key, recoveryKey: readRecoveryKey(recoveryKey) };
    await createRepository(order.folder, { compression: order.compression, encryption });
    return { row: rowOf(order, id, false), recoveryKey };
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
      if (order.existing) return { row: await takeOver({ ...order, folder }), recoveryKey: null };
      const { row, recoveryKey } = await make({ ...order, folder });
      return { row: await insert(row), recoveryKey };
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
      opened.delete(row.id);
      await tables().deleteFrom('repository').where('id', '=', row.id).execute();
      await changed(row.id);
    },
    async scanned(id) {
      const scanned_at = clock.now().toISOString();
      await tables().updateTable('repository').set({ scanned_at }).where('id', '=', id).execute();
      await changed(id);
    },
    async open(id) {
      const row = find(id);
      if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
      const known = opened.get(id);
      const opening = known ?? openRow(row);
      if (!known) opened.set(id, opening);
      try {
        // A disk that was taken out leaves an empty folder.
        const [repository] = await Promise.all([opening, stat(join(row.folder, 'repo.json'))]);
        return { ...repository, folder: row.folder };
      } catch (error) {
        opened.delete(id);
        throw unreachable(row, error);
      }
    },
    place(id) {
      const row = find(id);
      if (!row) throw new AppError('not_found', { detail: 'The repository was forgotten.' });
      return { folder: row.folder, keyPath: row.is_encrypted === 1 ? keyPath(row.id) : null };
    },
    async view(row, isFolderShown) {
      const { freeBytes, problem } = await roomOf(row, space);
      return {
        id: row.id,
        name: row.name,
        folder: isFolderShown ? row.folder : null,
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
