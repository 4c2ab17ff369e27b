/** Room on the host: free bytes of the file system of the disks, and memory. */

import { readFile, statfs } from 'node:fs/promises';
import { cpus, totalmem } from 'node:os';
import { AppError } from '#kernel/errors.ts';
import { formatBytes, GIB, KIB } from '#kernel/units.ts';

export interface HostSpace {
  readonly freeDiskBytes: number;
  /** What has to stay free: 5 % of the file system, at least 2 GiB. */
  readonly diskFloorBytes: number;
  readonly totalMemoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly cpus: number;
}

const FLOOR_RATIO = 0.05;
const FLOOR_BYTES = 2 * GIB;

/** @param folder an existing folder of the file system that disks go to */
export async function hostSpace(folder: string): Promise<HostSpace> {
  const fs = await statfs(folder);
  return {
    freeDiskBytes: fs.bavail * fs.bsize,
    diskFloorBytes: Math.max(FLOOR_BYTES, Math.round(fs.blocks * fs.bsize * FLOOR_RATIO)),
    totalMemoryBytes: totalmem(),
    freeMemoryBytes: await availableMemory(),
    cpus: cpus().length,
  };
}

async function availableMemory(): Promise<number> {
  const match = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'));
  return Number(match?.[1] ?? 0) * KIB;
}

/** Refuses to write what would leave less free than the floor.
 *  @throws AppError no_space */
export function requireDiskSpace(space: HostSpace, neededBytes: number): void {
  if (space.freeDiskBytes - neededBytes >= space.diskFloorBytes) return;
  throw new AppError('no_space', {
    detail: `This needs ${formatBytes(neededBytes)} on the file system of the disks: ${formatBytes(space.freeDiskBytes)} are free and ${formatBytes(space.diskFloorBytes)} must stay free.`,
    hint: 'Free space there (`hv trash purge` deletes what is in the trash), or make the disks smaller.',
    params: { neededBytes, freeBytes: space.freeDiskBytes, floorBytes: space.diskFloorBytes },
  });
}
