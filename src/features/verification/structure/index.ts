/** Level 2: whether what lies on a disk has a shape that is known. Reads a few hundred KiB and trusts none of it. */

import { type ReadableDisk, readInside } from './disk-reader.ts';
import { type FoundFilesystem, readFilesystem } from './filesystems.ts';
import { readPartitions } from './partitions.ts';

export type { ReadableDisk } from './disk-reader.ts';

export interface DiskStructure {
  /** `unknown`: neither a table nor a file system that is known; that is no fault. */
  readonly state: 'known' | 'unknown' | 'broken';
  /** For people, as `GPT: FAT, ext4`. */
  readonly text: string;
}

/** At most this many partitions are looked into. */
const MAX_LOOKED_INTO = 32;

/** @throws what reading the disk throws; bytes that make no sense are an answer, not a failure */
export async function inspectDisk(disk: ReadableDisk): Promise<DiskStructure> {
  const table = await readPartitions(disk);
  if (table === null) {
    const found = await readFilesystem(disk, { offsetBytes: 0, sizeBytes: disk.sizeBytes });
    if (found !== null) return { state: found.problem === null ? 'known' : 'broken', text: named(found) };
    const start = disk.sizeBytes === 0 ? null : await readInside(disk, 0, Math.min(4096, disk.sizeBytes));
    const isEmpty = start === null || start.every((byte) => byte === 0);
    return { state: 'unknown', text: isEmpty ? 'nothing at its beginning' : 'nothing that is known' };
  }
  const found: (FoundFilesystem | null)[] = [];
  for (const partition of table.partitions.slice(0, MAX_LOOKED_INTO)) found.push(await readFilesystem(disk, partition));
  const isBroken = table.problems.length > 0 || found.some((each) => each !== null && each.problem !== null);
  const inside = found.map((each) => (each === null ? 'unknown' : named(each))).join(', ') || 'no partitions';
  const said = [`${table.kind.toUpperCase()}: ${inside}`, ...table.problems, ...table.remarks];
  return { state: isBroken ? 'broken' : 'known', text: said.join('; ') };
}

const named = ({ kind, problem }: FoundFilesystem) => (problem === null ? kind : `${kind} (${problem})`);
