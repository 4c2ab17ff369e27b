/** libvirt's storage pools. What libvirt tells of a pool's space is as old as its last refresh, so pools that are folders are looked at. */

import type { METRICS } from '#contract/metric-catalogue.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { FileSystemSpace } from '../file-system-space.ts';
import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { RawSource } from '../raw-families.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';
import { usageOf } from './file-systems.ts';

export type PoolState = (typeof METRICS)['pool_state']['values'][number];
type Pool = ReturnType<InventoryApi['pools']>[number];

export interface PoolFigures {
  readonly name: string;
  readonly state: PoolState;
  readonly sizeBytes: number | null;
  readonly usedBytes: number | null;
  readonly freeBytes: number | null;
  /** Sizes of all volumes as their users see them. */
  readonly promisedBytes: number | null;
}

/** Folders of this machine, and folders of others. */
const LOCAL_FOLDERS: readonly string[] = ['dir', 'fs'];
const NETWORK_FOLDERS: readonly string[] = ['netfs', 'gluster', 'vstorage'];
const MAX_POOLS = 128;

export interface PoolPorts {
  /** null while libvirt does not answer. */
  pools(): readonly Pool[] | null;
  readonly space: FileSystemSpace;
}

export function storagePoolsReader(
  host: Owner,
  { pools, space }: PoolPorts,
): SlowReader<readonly PoolFigures[]> & { readonly raw: RawSource } {
  let latest: readonly PoolFigures[] = [];

  const figuresOf = async (pool: Pool): Promise<PoolFigures> => {
    const isActive = pool.state === 'active' || pool.state === 'degraded';
    const isFolder = LOCAL_FOLDERS.includes(pool.kind) || NETWORK_FOLDERS.includes(pool.kind);
    const state = pool.state === 'building' ? 'inactive' : pool.state;
    const promisedBytes = isActive ? pool.volumes.reduce((sum, volume) => sum + volume.sizeBytes, 0) : null;
    const base = { name: pool.name, state, promisedBytes };
    if (!isActive || pool.path === null || !isFolder)
      return { ...base, sizeBytes: pool.capacityBytes, usedBytes: pool.allocatedBytes, freeBytes: pool.availableBytes };
    const found = await space.look(pool.path, LOCAL_FOLDERS.includes(pool.kind));
    return {
      ...base,
      sizeBytes: found?.sizeBytes ?? null,
      usedBytes: found?.usedBytes ?? null,
      freeBytes: found?.freeBytes ?? null,
    };
  };

  return {
    name: 'storage pools',
    periodMs: 60_000,
    async read() {
      const known = pools();
      if (known === null) return null;
      const figures: PoolFigures[] = [];
      for (const pool of known.slice(0, MAX_POOLS)) figures.push(await figuresOf(pool));
      latest = figures;
      return figures;
    },
    put(sink, figures) {
      for (const { name, state, sizeBytes, usedBytes, freeBytes, promisedBytes } of figures) {
        const sub = labelOf(name);
        sink.put(host, 'pool', sub, 'pool_state', enumNumber('pool_state', state));
        sink.put(host, 'pool', sub, 'disk_size', sizeBytes);
        sink.put(host, 'pool', sub, 'disk_used', usedBytes);
        sink.put(host, 'pool', sub, 'disk_free', freeBytes);
        sink.put(
          host,
          'pool',
          sub,
          'disk_usage',
          usedBytes === null || freeBytes === null ? null : usageOf({ usedBytes, freeBytes }),
        );
        sink.put(
          host,
          'pool',
          sub,
          'overcommit',
          sizeBytes && promisedBytes !== null ? promisedBytes / sizeBytes : null,
        );
      }
    },
    raw(sink) {
      for (const { name, sizeBytes, usedBytes } of latest) {
        sink.add('hyper_pool_capacity_bytes', { pool: labelOf(name) }, sizeBytes);
        sink.add('hyper_pool_allocation_bytes', { pool: labelOf(name) }, usedBytes);
      }
    },
  };
}
