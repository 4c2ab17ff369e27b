/** Starts a storage pool that is inactive. Nothing in it is touched. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import type { PoolInput } from '../allowed-work.ts';

interface Dependencies {
  /** Nothing but this of libvirt's pools. */
  readonly pools: Pick<LibvirtHost['pools'], 'info' | 'create' | 'refresh'>;
  /** Whether what the pool lies on is there; false for one that is not known. */
  isReachable(poolId: string): Promise<boolean>;
  /** Lets the inventory see it. */
  seen(): Promise<void>;
}

export function poolStart({ pools, isReachable, seen }: Dependencies): OperationDefinition<PoolInput> {
  const isActive = async (id: string) => (await pools.info(id)).state !== 'inactive';
  return defineOperation({
    kind: 'healing.pool-start',
    permission: 'storage.configure',
    input: z.object({ poolId: z.string(), name: z.string() }),
    title: ({ name }) => `Start the storage pool ${name}`,
    object: ({ poolId, name }) => ({ type: 'pool', id: poolId, name }),
    locks: ({ poolId }) => [`pool:${poolId}`],
    steps: ({ poolId, name }) => [
      {
        name: 'start',
        title: 'Start the pool',
        check: () => isActive(poolId),
        async act() {
          if (!(await isReachable(poolId)))
            throw new AppError('wrong_state', {
              detail: `What the pool ${name} lies on cannot be reached.`,
              hint: 'Mount it; the pool is started then.',
            });
          try {
            await pools.create(poolId);
          } catch (error) {
            // Another program started it at the same moment.
            if (!(await isActive(poolId))) throw error;
          }
        },
      },
      {
        name: 'refresh',
        title: 'Look at what lies in it',
        async act() {
          await pools.refresh(poolId);
          await seen();
        },
      },
    ],
  });
}
