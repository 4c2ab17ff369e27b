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

  return {
    async ensure(signal) {
      await mkdir(folder, { recursive: true, mode: 0o711 });
      let pool = await find();
      if (pool) {
        const path = known.pools().find((other) => other.name === OWN_POOL)?.path ?? folder;
        // Another daemon's pool, or one made by hand: disks are files with absolute paths, so VMs work without libvirt's view of the folder.
        if (path !== folder) {
          log.warn(
            { pool: OWN_POOL, path },
            'the pool of this name belongs to another folder; our disks are not shown in it',
          );
          return;
        }
      } else {
        signal.throwIfAborted();
        pool = await libvirt.pools.define(poolXml(folder));
      }
      const info = await libvirt.pools.info(pool.uuid);
      if (info.state === 'inactive') {
        await libvirt.pools.create(pool.uuid);
        await libvirt.pools.setAutostart(pool.uuid, true);
      }
    },
    async rescan() {
      const pool = await find();
      if (!pool) return;
      try {
        await libvirt.pools.refresh(pool.uuid);
      } catch (error) {
        // Sizes shown stay as they were; the disks themselves are not concerned.
        if (!(error instanceof AppError)) throw error;
        log.debug({ err: error }, 'the pool could not be rescanned');
      }
      await known.refreshPools();
    },
  };
}

function poolXml(folder: string): string {
  return serialize(
    element('pool', { type: 'dir' }, element('name', {}, OWN_POOL), element('target', {}, element('path', {}, folder))),
  );
}
