/** The routes of storage pools: answered from the inventory. */

import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { Pool } from '#contract/networks.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { isUsableIn, type May, type ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';
import { OWN_POOL } from './own-pool.ts';

type KnownPool = ReturnType<InventoryApi['pools']>[number];

interface Asker {
  readonly may: May;
  reach(permission: 'vm.read'): unknown;
}

/** By UUID, else by name. */
export function findPool(pools: readonly KnownPool[], idOrName: string): KnownPool | null {
  return pools.find((pool) => pool.id === idOrName) ?? pools.find((pool) => pool.name === idOrName) ?? null;
}

/** The system owns pools; the default project may use all of them, other projects those that they were given.
 *  Our own pool may be given by its name, before libvirt has it. */
export const poolObject = (
  pool: { readonly id: string; readonly name: string },
  projects: Pick<ProjectsApi, 'usersOf'>,
): FoundObject => ({
  type: 'pool',
  id: pool.id,
  name: pool.name,
  project: null,
  sharedWith: [
    DEFAULT_PROJECT,
    ...projects.usersOf('pool', pool.id),
    ...(pool.name === OWN_POOL ? projects.usersOf('pool', OWN_POOL) : []),
  ],
});

export function createPoolRoutes(
  known: InventoryApi,
  isOwn: (pool: KnownPool) => boolean,
  projects: Pick<ProjectsApi, 'usersOf' | 'get'>,
): Handlers {
  /** Who does not see all VMs sees the volumes of those that he does. */
  const view = (pool: KnownPool, { may, reach }: Asker): Pool => {
    const volumes = pool.volumes.map(({ path, ...volume }) => ({
      ...volume,
      usedBy: known.fileUsers(path)[0] ?? null,
    }));
    const whole = { ...pool, ...stateOf(pool), volumes };
    if (reach('vm.read') === null) return whole;
    const isOwn = ({ usedBy }: Pool['volumes'][number]) =>
      usedBy !== null && may('vm.read', { type: 'vm', id: usedBy.vmId, project: usedBy.project, vmId: usedBy.vmId });
    return { ...whole, path: null, volumes: volumes.filter(isOwn) };
  };
  const stateOf = (pool: KnownPool): Pick<Pool, 'state' | 'managed' | 'isDefault'> => ({
    state: known.staleSince === null ? pool.state : 'unknown',
    managed: isOwn(pool),
    isDefault: isOwn(pool),
  });

  return {
    'GET /pools': ({ query, may, reach }) => {
      const within = query.usableIn === undefined ? null : (projects.get(query.usableIn)?.id ?? '');
      const all = known
        .pools()
        .filter((pool) => may('storage.read', poolObject(pool, projects)))
        .filter((pool) => within === null || isUsableIn(within, 'storage.use', poolObject(pool, projects), may));
      return page(all, query, (pool) => view(pool, { may, reach }));
    },
    'GET /pools/{id}': ({ params, may, reach }) => {
      const pool = findPool(known.pools(), params.id);
      if (!pool) throw new AppError('not_found', { detail: `There is no storage pool "${params.id.slice(0, 80)}".` });
      return view(pool, { may, reach });
    },
  };
}
