/** The routes of storage pools: answered from the inventory. */

import type { Pool } from '#contract/networks.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';

type KnownPool = ReturnType<InventoryApi['pools']>[number];

/** By UUID, else by name. */
export function findPool(pools: readonly KnownPool[], idOrName: string): KnownPool | null {
  return pools.find((pool) => pool.id === idOrName) ?? pools.find((pool) => pool.name === idOrName) ?? null;
}

/** The system owns pools; projects may use those that they were given. */
export const poolObject = (
  pool: { readonly id: string; readonly name: string },
  projects: Pick<ProjectsApi, 'usersOf'>,
): FoundObject => ({
  type: 'pool',
  id: pool.id,
  name: pool.name,
  project: null,
  sharedWith: projects.usersOf('pool', pool.id),
});

export function createPoolRoutes(
  known: InventoryApi,
  isOwn: (pool: KnownPool) => boolean,
  projects: Pick<ProjectsApi, 'usersOf'>,
): Handlers {
  const view = (pool: KnownPool): Pool => ({
    ...pool,
    state: known.staleSince === null ? pool.state : 'unknown',
    managed: isOwn(pool),
    isDefault: isOwn(pool),
    volumes: pool.volumes.map(({ path, ...volume }) => ({ ...volume, usedBy: known.fileUsers(path)[0] ?? null })),
  });

  return {
    'GET /pools': ({ query, may }) => {
      const all = known.pools().filter((pool) => may('storage.read', poolObject(pool, projects)));
      const from = query.cursor === undefined ? 0 : Math.max(0, all.findIndex((pool) => pool.id === query.cursor) + 1);
      const items = all.slice(from, from + query.limit).map(view);
      return { items, next: from + query.limit < all.length ? (items.at(-1)?.id ?? null) : null, total: all.length };
    },
    'GET /pools/{id}': ({ params }) => {
      const pool = findPool(known.pools(), params.id);
      if (!pool) throw new AppError('not_found', { detail: `There is no storage pool "${params.id.slice(0, 80)}".` });
      return view(pool);
    },
  };
}
