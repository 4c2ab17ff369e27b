/** Storage pools that start with the host and do not run. */

import { stat } from 'node:fs/promises';
import type { InventoryApi } from '#features/inventory/index.ts';
import { withDeadline } from '#kernel/async.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finder, Finding } from '../finding.ts';

const LOOK_MS = 2_000;
const EVERY_MS = 300_000;

type Pool = ReturnType<InventoryApi['pools']>[number];

/** Pools of these kinds lie in a folder that is there before they start. */
const IN_FOLDER: readonly string[] = ['dir'];

/** Whether what the pool lies on can be reached; of other kinds than folders libvirt says so itself when it starts them. */
export async function isReachable({ kind, path }: Pick<Pool, 'kind' | 'path'>): Promise<boolean> {
  if (!IN_FOLDER.includes(kind) || path === null) return true;
  try {
    return (await withDeadline('stat', LOOK_MS, () => stat(path))).isDirectory();
  } catch {
    // Missing, or on a server that hangs: either way there is nothing to start.
    return false;
  }
}

export function findIdlePools(
  known: Pick<InventoryApi, 'pools' | 'staleSince'>,
  hands: Pick<Hands, 'isLocked'>,
): Finder {
  const isIdle = ({ state, autostart }: Pool) => state === 'inactive' && autostart;
  const isBusy = ({ id }: Pool) => hands.isLocked(`pool:${id}`);
  return {
    action: 'pool-start',
    delaysMs: [10_000, EVERY_MS],
    isOnce: false,
    async find() {
      if (known.staleSince !== null) return null;
      const findings: Finding[] = [];
      for (const pool of known.pools().filter(isIdle)) {
        findings.push({
          object: { type: 'pool', id: pool.id, name: pool.name, project: null },
          found: `the storage pool ${pool.name} is inactive although it starts with the host`,
          remedy: 'start it',
          obstacle: isBusy(pool)
            ? { text: 'an operation works on it.', isWorthTelling: false }
            : (await isReachable(pool))
              ? null
              : {
                  text: `its folder ${pool.path} is missing. Mount what it lies on; it is started then.`,
                  isWorthTelling: true,
                },
          isStillSo: () =>
            known.staleSince === null && known.pools().some((now) => now.id === pool.id && isIdle(now) && !isBusy(now)),
          work: { kind: 'healing.pool-start', input: { poolId: pool.id, name: pool.name } },
        });
      }
      return { findings, isUnknown: () => false };
    },
  };
}
