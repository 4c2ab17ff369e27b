/** Makes repositories, and takes over what lies somewhere already. */

import { rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { PlaceSecrets, PlaceSettings } from '#contract/backups.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { SecretSeal } from '#platform/sealed-secrets.ts';
import { writeKeyFile } from '../key-file.ts';
import { placeOf, provePlace } from '../places/index.ts';
import { requireMount } from '../places/mount.ts';
import {
  createRepository,
  newRecoveryKey,
  newRepositoryKey,
  openRepository,
  openRepositoryAt,
  readRecoveryKey,
} from '../store/index.ts';
import type { RepositoryRow } from '../tables.ts';
import type { RepositoryList } from './list.ts';

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

export interface RepositoryMaking {
  /** The one in the state folder; made when it is first needed. */
  default(): Promise<RepositoryRow>;
  create(order: RepositoryOrder): Promise<{ readonly row: RepositoryRow; readonly recoveryKey: string | null }>;
  /** @throws what places fail with, as host_key_unknown; key_needed, key_wrong */
  createPlaced(order: PlaceOrder): Promise<RepositoryRow>;
}

const DEFAULT_NAME = 'default';

/** As they are sealed: without those that are not there. */
export const secretTexts = (secrets: PlaceSecrets): Record<string, string> =>
  Object.fromEntries(Object.entries(secrets).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));

export function createRepositoryMaking(options: {
  readonly list: RepositoryList;
  readonly seal: SecretSeal;
  readonly clock: Clock;
  readonly stateFolder: string;
  readonly keyPath: (id: string) => string;
}): RepositoryMaking {
  const { list, seal, clock, stateFolder, keyPath } = options;
  let making: Promise<RepositoryRow> | null = null;

  const requireFree = async (name: string, folder: string) => {
    if (list.all().some((row) => row.name === name))
      throw new AppError('already_exists', { detail: `There is a repository "${name}" already.` });
    const overlap = list.all().find((row) => isWithin(row.folder, folder) || isWithin(folder, row.folder));
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
    return list.insert({ ...rowOf({ ...order, isEncrypted, compression }, id, true), store_id });
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
    return list.insert({ ...row, is_default: 1 });
  };

  return {
    async default() {
      const known = list.all().find(({ is_default }) => is_default === 1);
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
      return { row: await list.insert(row), recoveryKey };
    },
    async createPlaced({ name, place: settings, secrets, existing, recoveryKey }) {
      const place = placeOf(settings, secrets);
      const { title } = place;
      if (list.all().some((row) => row.name === name || row.folder === title))
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
        return await list.insert({
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
  };
}

const isWithin = (outer: string, inner: string): boolean => inner === outer || inner.startsWith(`${outer}/`);
