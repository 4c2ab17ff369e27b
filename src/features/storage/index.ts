/** Storage pools: lists what libvirt has, and keeps our own folder pool defined and started.
 *  Tables: none. Events in: none. Events out: pool.changed (by the inventory). Permissions: storage.read. Guide: docs/guides/vms.md */

import { type InventoryApi, inventory } from '#features/inventory/index.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature } from '#platform/feature.ts';
import { createOwnPool, OWN_POOL } from './own-pool.ts';
import { createPoolRoutes, findPool, poolObject } from './routes.ts';

export { OWN_POOL } from './own-pool.ts';

export interface StorageApi {
  /** Defines and starts the pool of our disks folder where that is missing. @throws failures of libvirt */
  ensureOwnPool(signal: AbortSignal): Promise<void>;
  /** Lets libvirt and the inventory see files that were made, moved or removed in our pool. */
  rescanOwnPool(): Promise<void>;
}

export const storage = defineFeature<StorageApi>({
  name: 'storage',
  needs: ['projects', 'inventory'],
  setup({ config, libvirt, use, log }) {
    const known: InventoryApi = use(inventory);
    const registry = use(projects);
    registry.findResourcesBy('pool', (id) => findPool(known.pools(), id));
    const ownPool = createOwnPool({ libvirt, known, folder: config.state.disks, log });
    const isOwn = (pool: { readonly name: string; readonly path: string | null }) =>
      pool.name === OWN_POOL && pool.path === config.state.disks;
    return {
      api: { ensureOwnPool: ownPool.ensure, rescanOwnPool: ownPool.rescan },
      handlers: createPoolRoutes(known, isOwn, registry),
      resolvers: {
        pool(id) {
          const pool = findPool(known.pools(), id);
          return pool && poolObject(pool, registry);
        },
      },
    };
  },
});
