/** What lies on a partition, by the marks and checksums in its first kilobytes. Enough to tell a file system from noise and a whole one
 *  from one that lost its end; not a check of what is in it. Sources: the on-disk format documents of each. */

import { crc32 } from 'node:zlib';
import { crc32c, type ReadableDisk, readInside, uint64 } from './disk-reader.ts';
import type { Partition } from './partitions.ts';

export interface FoundFilesystem {
  /** As `ext4`, `LVM`, `swap`. */
  readonly kind: string;
  /** Null = as far as was looked it is whole. */
  readonly problem: string | null;
}

type Reader = (start: Buffer, place: Partition) => FoundFilesystem | null;

/** Far enough for the superblock of btrfs. */
const START_BYTES = 68 * 1024;

/** Null = nothing that is known. */
export async function readFilesystem(disk: ReadableDisk, place: Partition): Promise<FoundFilesystem | null> {
  const length = Math.min(START_BYTES, place.sizeBytes);
  const start = length > 0 ? await readInside(disk, place.offsetBytes, length) : null;
  if (start === null) return null;
  for (const read of READERS) {
    const found = read(start, place);
    if (found !== null) return found;
  }
  return null;
}

const whole = (kind: string): FoundFilesystem => ({ kind, problem: null });
const textAt = (bytes: Buffer, at: number, length: number) => bytes.toString('latin1', at, at + length);
const isLonger = (sizeBytes: number | null, place: Partition) => sizeBytes === null || sizeBytes > place.sizeBytes;
const CUT = 'it is larger than the place that it lies in: its end is missing';
const CHECKSUM = 'its first block is not what its checksum says';

/** A checksum of a superblock that has its own field inside. */
const ext: Reader = (start, place) => {
  if (start.length < 2048 || start.readUInt16LE(1024 + 56) !== 0xef53) return null;
  const block = start.subarray(1024, 2048);
  const [compatible, incompatible, readOnly] = [
    block.readUInt32LE(92),
    block.readUInt32LE(96),
    block.readUInt32LE(100),
  ];
  const kind = incompatible & 0x40 ? 'ext4' : compatible & 0x4 ? 'ext3' : 'ext2';
  const shift = block.readUInt32LE(24);
  if (shift > 6) return { kind, problem: 'its block size makes no sense' };
  if (readOnly & 0x400 && crc32c(block.subarray(0, 1020)) !== block.readUInt32LE(1020))
    return { kind, problem: CHECKSUM };
  const high = incompatible & 0x80 ? block.readUInt32LE(336) : 0;
  const blocks = high * 2 ** 32 + block.readUInt32LE(4);
  return { kind, problem: isLonger(blocks * (1024 << shift), place) ? CUT : null };
};

const xfs: Reader = (start, place) => {
  if (start.length < 4096 || textAt(start, 0, 4) !== 'XFSB') return null;
  const [blockBytes, sectorBytes] = [start.readUInt32BE(4), start.readUInt16BE(102)];
  if (blockBytes < 512 || blockBytes > 65_536 || sectorBytes < 512 || sectorBytes > 4096)
    return { kind: 'xfs', problem: 'its block size makes no sense' };
  if ((start.readUInt16BE(100) & 0xf) === 5) {
    const sector = Buffer.from(start.subarray(0, sectorBytes));
    sector.writeUInt32LE(0, 224);
    if ((crc32c(sector) ^ 0xffffffff) >>> 0 !== start.readUInt32LE(224)) return { kind: 'xfs', problem: CHECKSUM };
  }
  const blocks = start.readBigUInt64BE(8);
  return { kind: 'xfs', problem: blocks * BigInt(blockBytes) > BigInt(place.sizeBytes) ? CUT : null };
};

const btrfs: Reader = (start, place) => {
  if (start.length < START_BYTES || textAt(start, 0x10040, 8) !== '_BHRfS_M') return null;
  const block = start.subarray(0x10000, 0x11000);
  const isCrc = block.readUInt16LE(0xc4) === 0;
  if (isCrc && (crc32c(block.subarray(32)) ^ 0xffffffff) >>> 0 !== block.readUInt32LE(0))
    return { kind: 'btrfs', problem: CHECKSUM };
  // Of several devices each lies in its own place: the size of this one, not of all.
  return { kind: 'btrfs', problem: isLonger(uint64(block, 0xc9 + 8), place) ? CUT : null };
};

const ntfs: Reader = (start, place) => {
  if (start.length < 512 || textAt(start, 3, 8) !== 'NTFS    ') return null;
  const sectorBytes = start.readUInt16LE(11);
  if (start.readUInt16LE(510) !== 0xaa55 || sectorBytes < 512 || sectorBytes > 4096)
    return { kind: 'NTFS', problem: 'its first sector is damaged' };
  const sectors = uint64(start, 40);
  return { kind: 'NTFS', problem: isLonger(sectors === null ? null : sectors * sectorBytes, place) ? CUT : null };
};

const fat: Reader = (start, place) => {
  if (start.length < 512 || start.readUInt16LE(510) !== 0xaa55) return null;
  const isFat32 = textAt(start, 82, 5) === 'FAT32';
  if (!isFat32 && !/^FAT(12|16)?\s/.test(textAt(start, 54, 8))) return null;
  const sectorBytes = start.readUInt16LE(11);
  const sectors = start.readUInt16LE(19) || start.readUInt32LE(32);
  if (![512, 1024, 2048, 4096].includes(sectorBytes) || sectors === 0)
    return { kind: 'FAT', problem: 'its first sector is damaged' };
  return { kind: 'FAT', problem: isLonger(sectors * sectorBytes, place) ? CUT : null };
};

const swap: Reader = (start) =>
  start.length >= 4096 && textAt(start, 4086, 10) === 'SWAPSPACE2' ? whole('swap') : null;

const luks: Reader = (start) =>
  start.length >= 4096 && textAt(start, 0, 6) === 'LUKS\xba\xbe' ? whole('LUKS (encrypted)') : null;

const md: Reader = (start) =>
  start.length >= 8192 && start.readUInt32LE(4096) === 0xa92b4efc ? whole('RAID member') : null;

const iso: Reader = (start) =>
  start.length >= 36 * 1024 && textAt(start, 32_769, 5) === 'CD001' ? whole('ISO 9660') : null;

/** LVM2 puts its label into one of the first four sectors. */
const lvm: Reader = (start, place) => {
  for (let at = 0; at < 2048 && at + 512 <= start.length; at += 512) {
    if (textAt(start, at, 8) !== 'LABELONE' || textAt(start, at + 24, 8) !== 'LVM2 001') continue;
    const sum = (crc32(start.subarray(at + 20, at + 512), 0xf597a6cf ^ -1) ^ -1) >>> 0;
    if (sum !== start.readUInt32LE(at + 16)) return { kind: 'LVM', problem: CHECKSUM };
    const headerAt = at + start.readUInt32LE(at + 20);
    if (headerAt + 40 > start.length) return { kind: 'LVM', problem: 'its header is damaged' };
    return { kind: 'LVM', problem: isLonger(uint64(start, headerAt + 32), place) ? CUT : null };
  }
  return null;
};

/** FAT last: its marks are the weakest. */
const READERS: readonly Reader[] = [ext, xfs, btrfs, ntfs, lvm, luks, md, swap, iso, fat];
