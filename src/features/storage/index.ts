/** Storage pools: lists what libvirt has, and keeps our own folder pool defined and started.
 *  Tables: none. Events in: none. Events out: pool.changed (by the inventory). Permissions: storage.read. Guide: docs/guides/vms.md */

import { type InventoryApi, inventory } from '#features/inventory/index.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature, type FoundObject } from '#platform/feature.ts';
import { createOwnPool, OWN_POOL } from './own-pool.ts';
import { createPoolRoutes, findPool, poolObject } from './routes.ts';

export { OWN_POOL } from './own-pool.ts';
export { poolObject } from './routes.ts';

export interface StorageApi {
  /** Defines and starts the pool of our disks folder where that is missing. @throws failures of libvirt */
  ensureOwnPool(signal: AbortSignal): Promise<void>;
  /** Lets libvirt and the inventory see files that were made, moved or removed in our pool. */
  rescanOwnPool(): Promise<void>;
  /** Our pool as an object of policy, whether libvirt has it yet or not. */
  ownPoolObject(): FoundObject;
}

export const storage = defineFeature<StorageApi>({
  name: 'storage',
  needs: ['projects', 'inventory'],
  setup({ config, libvirt, use, log }) {
    const known: InventoryApi = use(inventory);
    const registry = use(projects);
    const find = (id: string) => findPool(known.pools(), id) ?? (id === OWN_POOL ? { id, name: id } : null);
    registry.findResourcesBy('pool', find);
    const ownPool = createOwnPool({ libvirt, known, folder: config.state.disks, log });
    const isOwn = (pool: { readonly name: string; readonly path: string | null }) =>
      pool.name === OWN_POOL && pool.path === config.state.disks;
    return {
      api: {
        ensureOwnPool: ownPool.ensure,
        rescanOwnPool: ownPool.rescan,
        ownPoolObject: () => poolObject(find(OWN_POOL) ?? { id: OWN_POOL, name: OWN_POOL }, registry),
      },
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
