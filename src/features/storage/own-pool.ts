/** Our folder pool `hyper`: where new disks lie. libvirt gets to know it so that virsh and virt-manager show the same. */

import { mkdir } from 'node:fs/promises';
import type { InventoryApi } from '#features/inventory/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { element, isNotFound, type LibvirtHost, serialize } from '#libvirt/index.ts';

export const OWN_POOL = 'hyper';

interface Dependencies {
  readonly libvirt: LibvirtHost;
  readonly known: InventoryApi;
  /** The disks folder. */
  readonly folder: string;
  readonly log: Logger;
}

export interface OwnPool {
  ensure(signal: AbortSignal): Promise<void>;
  rescan(): Promise<void>;
}

export function createOwnPool({ libvirt, known, folder, log }: Dependencies): OwnPool {
  const find = async () => {
    try {
      return await libvirt.pools.byName(OWN_POOL);
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  };

  const isActive = async (uuid: string) => (await libvirt.pools.info(uuid)).state !== 'inactive';

  const make = async () => {
    await mkdir(folder, { recursive: true, mode: 0o711 });
    const pool = (await find()) ?? (await define());
    const path = known.pools().find((other) => other.name === OWN_POOL)?.path ?? folder;
    // Another daemon's pool, or one made by hand: disks are files with absolute paths, so VMs work without libvirt's view of the folder.
    if (path !== folder) {
      log.warn(
        { pool: OWN_POOL, path },
        'the pool of this name belongs to another folder; our disks are not shown in it',
      );
      return;
    }
    if (await isActive(pool.uuid)) return;
    try {
      await libvirt.pools.create(pool.uuid);
      await libvirt.pools.setAutostart(pool.uuid, true);
    } catch (error) {
      // Another program started it at the same moment.
      if (!(await isActive(pool.uuid))) throw error;
    }
  };

  const define = async () => {
    try {
      return await libvirt.pools.define(poolXml(folder));
    } catch (error) {
      const made = await find();
      if (made === null) throw error;
      return made;
    }
  };

  let making: Promise<void> | null = null;

  return {
    async ensure(signal) {
      signal.throwIfAborted();
      // Several VMs can be made at once; one look at the pool serves them all.
      making ??= make().finally(() => {
        making = null;
      });
      await making;
    },
    async rescan() {
      const pool = await find();
      if (!pool) return;
      try {
        await libvirt.pools.refresh(pool.uuid);
        await known.refreshPools();
      } catch (error) {
        // Sizes shown stay as they were; the disks themselves are not concerned.
        if (!(error instanceof AppError)) throw error;
        log.debug({ err: error }, 'the pool could not be rescanned');
      }
    },
  };
}

function poolXml(folder: string): string {
  return serialize(
    element('pool', { type: 'dir' }, element('name', {}, OWN_POOL), element('target', {}, element('path', {}, folder))),
  );
}
