/** A Ceph cluster that this machine is a client of, by `ceph status -f json`. */

import { access } from 'node:fs/promises';
import { z } from 'zod';
import type { Owner } from '../measuring.ts';
import type { Programs } from '../programs.ts';
import { enumNumber } from '../sinks.ts';
import type { SlowReader } from '../slow-reader.ts';
import { usageOf } from './file-systems.ts';
import type { PoolState } from './storage-pools.ts';

export interface CephCluster {
  readonly state: PoolState;
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
}

const STATES: Readonly<Record<string, PoolState>> = {
  HEALTH_OK: 'active',
  HEALTH_WARN: 'degraded',
  HEALTH_ERR: 'faulted',
};

const statusSchema = z.object({
  health: z.object({ status: z.string() }),
  pgmap: z.object({ bytes_total: z.number(), bytes_used: z.number(), bytes_avail: z.number() }),
});

/** @throws SyntaxError, ZodError for what is no status */
export function cephCluster(json: string): CephCluster {
  const { health, pgmap } = statusSchema.parse(JSON.parse(json));
  return {
    state: STATES[health.status] ?? 'unknown',
    sizeBytes: pgmap.bytes_total,
    usedBytes: pgmap.bytes_used,
    freeBytes: pgmap.bytes_avail,
  };
}

/** @param configFile without it this machine is no client, and the program, which takes half a second to say so, is not asked */
export function cephReader(
  host: Owner,
  programs: Programs,
  configFile = '/etc/ceph/ceph.conf',
): SlowReader<CephCluster> {
  return {
    name: 'Ceph',
    periodMs: 60_000,
    async read(signal) {
      if (!(await isThere(configFile))) return null;
      // Its own limit is the shorter one, so that a cluster that is away costs no killed program.
      const result = await programs.ask(['ceph', '--connect-timeout', '8', 'status', '-f', 'json'], signal);
      return result === null || result.code !== 0 ? null : cephCluster(result.stdout);
    },
    put(sink, cluster) {
      sink.put(host, 'pool', 'ceph', 'pool_state', enumNumber('pool_state', cluster.state));
      sink.put(host, 'pool', 'ceph', 'disk_size', cluster.sizeBytes);
      sink.put(host, 'pool', 'ceph', 'disk_used', cluster.usedBytes);
      sink.put(host, 'pool', 'ceph', 'disk_free', cluster.freeBytes);
      sink.put(host, 'pool', 'ceph', 'disk_usage', usageOf(cluster));
    },
  };
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );
