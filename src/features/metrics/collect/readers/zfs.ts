/** ZFS pools by `zpool list -Hp`. Format: zpool-list(8): one pool a line, tabs between, numbers in bytes. */

import type { Owner } from '../measuring.ts';
import { labelOf } from '../names.ts';
import type { Programs } from '../programs.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';
import type { PoolState } from './storage-pools.ts';

export interface ZfsPool {
  readonly name: string;
  readonly state: PoolState;
  readonly sizeBytes: number | null;
  readonly usedBytes: number | null;
  readonly freeBytes: number | null;
}

const STATES: Readonly<Record<string, PoolState>> = {
  ONLINE: 'active',
  DEGRADED: 'degraded',
  FAULTED: 'faulted',
  UNAVAIL: 'faulted',
  SUSPENDED: 'faulted',
  OFFLINE: 'inactive',
  REMOVED: 'inactive',
};

export function zfsPools(output: string): readonly ZfsPool[] {
  return output.split('\n').flatMap((line) => {
    const [name, size, used, free, health, ...more] = line.split('\t');
    if (!name || health === undefined || more.length > 0) return [];
    return [
      {
        name,
        state: STATES[health.trim()] ?? 'unknown',
        sizeBytes: bytesOf(size),
        usedBytes: bytesOf(used),
        freeBytes: bytesOf(free),
      },
    ];
  });
}

/** A pool that is not there has `-` for its numbers. */
function bytesOf(text: string | undefined): number | null {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : null;
}

export function zfsReader(host: Owner, programs: Programs): SlowReader<readonly ZfsPool[]> {
  return {
    name: 'ZFS pools',
    periodMs: 60_000,
    async read(signal) {
      const result = await programs.ask(['zpool', 'list', '-Hp', '-o', 'name,size,alloc,free,health'], signal);
      return result === null || result.code !== 0 ? null : zfsPools(result.stdout);
    },
    put(sink, pools) {
      for (const { name, state, sizeBytes, usedBytes, freeBytes } of pools) {
        const sub = labelOf(`zfs:${name}`);
        sink.put(host, 'pool', sub, 'pool_state', enumNumber('pool_state', state));
        sink.put(host, 'pool', sub, 'disk_size', sizeBytes);
        sink.put(host, 'pool', sub, 'disk_used', usedBytes);
        sink.put(host, 'pool', sub, 'disk_free', freeBytes);
        sink.put(host, 'pool', sub, 'disk_usage', sizeBytes && usedBytes !== null ? usedBytes / sizeBytes : null);
      }
    },
  };
}
