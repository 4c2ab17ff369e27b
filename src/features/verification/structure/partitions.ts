/** Partition tables: MBR with extended partitions, and GPT. Sources: UEFI specification 2.10 section 5; the MBR as Linux reads it. */

import { crc32 } from 'node:zlib';
import { type ReadableDisk, readInside, uint64 } from './disk-reader.ts';

export interface Partition {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

export interface PartitionTable {
  readonly kind: 'mbr' | 'gpt';
  readonly partitions: readonly Partition[];
  /** What is wrong with it; empty = nothing. */
  readonly problems: readonly string[];
  /** Odd, but nothing is lost by it. */
  readonly remarks: readonly string[];
}

const SECTOR = 512;
const MAX_PARTITIONS = 256;
const MAX_LINKS = 64;
const GPT_MAGIC = 'EFI PART';
const PROTECTIVE = 0xee;

/** Null = there is no partition table. */
export async function readPartitions(disk: ReadableDisk): Promise<PartitionTable | null> {
  const first = await readInside(disk, 0, SECTOR);
  if (first === null || first.readUInt16LE(510) !== 0xaa55) return null;
  const entries = mbrEntries(first);
  if (entries.some(({ type }) => type === PROTECTIVE)) return readGpt(disk);
  // A file system without a table has the same mark at the same place; a table has entries that make sense.
  if (entries.length === 0 || entries.some(({ isPlausible }) => !isPlausible)) return null;
  return readMbr(disk, entries);
}

interface MbrEntry {
  readonly type: number;
  readonly startSector: number;
  readonly sectors: number;
  readonly isPlausible: boolean;
}

function mbrEntries(sector: Buffer): MbrEntry[] {
  return [446, 462, 478, 494]
    .map((at) => {
      const status = sector[at] ?? 0;
      const startSector = sector.readUInt32LE(at + 8);
      const sectors = sector.readUInt32LE(at + 12);
      const type = sector[at + 4] ?? 0;
      return {
        type,
        startSector,
        sectors,
        isPlausible: (status === 0 || status === 0x80) && type !== 0 && startSector > 0 && sectors > 0,
      };
    })
    .filter(({ type, startSector, sectors }) => type !== 0 || startSector !== 0 || sectors !== 0);
}

const isExtended = ({ type }: MbrEntry) => type === 0x05 || type === 0x0f || type === 0x85;

async function readMbr(disk: ReadableDisk, entries: readonly MbrEntry[]): Promise<PartitionTable> {
  const partitions: Partition[] = [];
  const problems: string[] = [];
  const add = (startSector: number, sectors: number) => {
    const partition = { offsetBytes: startSector * SECTOR, sizeBytes: sectors * SECTOR };
    if (partition.offsetBytes + partition.sizeBytes > disk.sizeBytes)
      problems.push(`partition ${partitions.length + 1} ends after the end of the disk`);
    else partitions.push(partition);
  };
  for (const entry of entries) {
    if (!isExtended(entry)) {
      add(entry.startSector, entry.sectors);
      continue;
    }
    let at = entry.startSector;
    const seen = new Set<number>();
    while (seen.size < MAX_LINKS && partitions.length < MAX_PARTITIONS) {
      const sector = seen.has(at) ? null : await readInside(disk, at * SECTOR, SECTOR);
      if (sector === null || sector.readUInt16LE(510) !== 0xaa55) {
        problems.push('the chain of logical partitions is broken');
        break;
      }
      seen.add(at);
      const [logical, next] = mbrEntries(sector);
      if (logical !== undefined && !isExtended(logical)) add(at + logical.startSector, logical.sectors);
      const link = next ?? (logical !== undefined && isExtended(logical) ? logical : undefined);
      if (link === undefined || !isExtended(link)) break;
      at = entry.startSector + link.startSector;
    }
  }
  return { kind: 'mbr', partitions, problems, remarks: [] };
}

type GptHeader = { readonly partitions: readonly Partition[]; readonly problems: readonly string[] };

async function readGpt(disk: ReadableDisk): Promise<PartitionTable> {
  for (const sectorBytes of [SECTOR, 4096]) {
    const main = await readGptAt(disk, sectorBytes, sectorBytes);
    if (main !== null) return { kind: 'gpt', ...main, remarks: [] };
  }
  for (const sectorBytes of [SECTOR, 4096]) {
    const spare = await readGptAt(disk, disk.sizeBytes - sectorBytes, sectorBytes);
    if (spare !== null)
      return {
        kind: 'gpt',
        ...spare,
        remarks: ['the first copy of the partition table is damaged, the second is good'],
      };
  }
  return { kind: 'gpt', partitions: [], problems: ['both copies of the partition table are damaged'], remarks: [] };
}

/** Null = no whole header with whole entries lies there. */
async function readGptAt(disk: ReadableDisk, offsetBytes: number, sectorBytes: number): Promise<GptHeader | null> {
  const header = await readInside(disk, offsetBytes, SECTOR);
  if (header === null || header.toString('latin1', 0, 8) !== GPT_MAGIC) return null;
  const headerBytes = header.readUInt32LE(12);
  if (headerBytes < 92 || headerBytes > SECTOR) return null;
  const unsigned = Buffer.from(header.subarray(0, headerBytes));
  unsigned.writeUInt32LE(0, 16);
  if (crc32(unsigned) !== header.readUInt32LE(16)) return null;
  const entrySector = uint64(header, 72);
  const count = header.readUInt32LE(80);
  const entryBytes = header.readUInt32LE(84);
  if (entrySector === null || entryBytes < 128 || entryBytes > 4096 || count === 0 || count > 4096) return null;
  if (count * entryBytes > 1024 * 1024) return null;
  const entries = await readInside(disk, entrySector * sectorBytes, count * entryBytes);
  if (entries === null || crc32(entries) !== header.readUInt32LE(88)) return null;
  const partitions: Partition[] = [];
  const problems: string[] = [];
  for (let index = 0; index < count && partitions.length < MAX_PARTITIONS; index += 1) {
    const entry = entries.subarray(index * entryBytes, (index + 1) * entryBytes);
    if (entry.subarray(0, 16).every((byte) => byte === 0)) continue;
    const [first, last] = [uint64(entry, 32), uint64(entry, 40)];
    if (first === null || last === null || last < first || (last + 1) * sectorBytes > disk.sizeBytes)
      problems.push(`partition ${index + 1} does not lie inside of the disk`);
    else partitions.push({ offsetBytes: first * sectorBytes, sizeBytes: (last - first + 1) * sectorBytes });
  }
  return { partitions, problems };
}
