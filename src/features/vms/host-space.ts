/** Room on the host: free bytes of the file system of the disks, and memory. */

import { readFile } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { KIB } from '#kernel/units.ts';
import type { SpaceLedger, SpaceNeed } from '#platform/disk-space.ts';

export interface HostSpace {
  /** What is promised to others subtracted. */
  readonly freeDiskBytes: number;
  /** What has to stay free. */
  readonly diskFloorBytes: number;
  readonly totalMemoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly cpus: number;
}

/** @param folder an existing folder of the file system that disks go to */
export async function hostSpace(folder: string, ledger: SpaceLedger): Promise<HostSpace> {
  const room = await ledger.look(folder);
  return {
    freeDiskBytes: Math.max(0, room.freeBytes - ledger.promisedBytes(room)),
    diskFloorBytes: room.floorBytes,
    totalMemoryBytes: totalmem(),
    freeMemoryBytes: await availableMemory(),
    cpus: cpus().length,
  };
}

async function availableMemory(): Promise<number> {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'));
  return Number(match?.[1] ?? 0) * KIB;
}

/** What the disks of a new VM take at once. */
export function diskNeed(vmId: string, bytes: number): SpaceNeed {
  return {
    owner: vmId,
    bytes,
    place: 'disks',
    hint: 'Free space there (`hv trash purge` deletes what is in the trash), or make the disks smaller.',
    canWait: false,
  };
}
