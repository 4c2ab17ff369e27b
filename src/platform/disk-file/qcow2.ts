/** Writes a fresh qcow2 disk: one pass, nothing in memory but the first-level table. Every cluster of the file has exactly one user, so the
 *  reference counts are ones from end to end and are written last; the header comes after them, and without it the file is no disk.
 *  The format is QEMU's docs/interop/qcow2, version 3. */

import type { FileHandle } from 'node:fs/promises';
import type { DataWriter } from './data-writer.ts';
import { type DiskLayout, writeAll } from './layout.ts';

const CLUSTER_BITS = 16;
/** 64 KiB, as qemu-img makes them. */
export const CLUSTER_BYTES = 2 ** CLUSTER_BITS;
const MAGIC = 0x51_46_49_fb;
const VERSION = 3;
const HEADER_BYTES = 104;
/** 16 bits each. */
const REFCOUNT_ORDER = 4;
const REFCOUNT_BYTES = 2;
const ENTRY_BYTES = 8;
const ENTRIES_PER_TABLE = CLUSTER_BYTES / ENTRY_BYTES;
const REFCOUNTS_PER_BLOCK = CLUSTER_BYTES / REFCOUNT_BYTES;
/** "The reference count is exactly one": it may be written in place. */
const COPIED = 2n ** 63n;

/** @param file empty */
export function createQcow2(file: FileHandle, data: DataWriter, sizeBytes: number): DiskLayout {
  const firstLevel = new Array<number>(Math.ceil(sizeBytes / (CLUSTER_BYTES * ENTRIES_PER_TABLE))).fill(0);
  // The first one is the header's.
  let clusters = 1;
  const take = (count: number) => {
    const first = clusters;
    clusters += count;
    return first;
  };

  const enter = async (cluster: number, first: number, count: number) => {
    for (let n = 0; n < count; ) {
      const index = Math.floor((cluster + n) / ENTRIES_PER_TABLE);
      const slot = (cluster + n) % ENTRIES_PER_TABLE;
      const within = Math.min(count - n, ENTRIES_PER_TABLE - slot);
      firstLevel[index] ||= take(1);
      const table = firstLevel[index] * CLUSTER_BYTES;
      await writeAll(
        file,
        entries(within, (each) => first + n + each),
        table + slot * ENTRY_BYTES,
      );
      n += within;
    }
  };

  return {
    async put(offsetBytes, bytes) {
      const count = Math.ceil(bytes.length / CLUSTER_BYTES);
      const first = take(count);
      await data.write(bytes, first * CLUSTER_BYTES);
      await enter(offsetBytes / CLUSTER_BYTES, first, count);
    },
    async finish() {
      const tableClusters = Math.max(1, Math.ceil((firstLevel.length * ENTRY_BYTES) / CLUSTER_BYTES));
      const firstLevelAt = take(tableClusters);
      await writeAll(
        file,
        entries(firstLevel.length, (n) => firstLevel[n] ?? 0),
        firstLevelAt * CLUSTER_BYTES,
      );
      const counts = refcountRoom(clusters);
      const refcountTableAt = take(counts.tableClusters);
      const blocksAt = take(counts.blocks);
      await writeAll(
        file,
        entries(counts.blocks, (n) => blocksAt + n, 0n),
        refcountTableAt * CLUSTER_BYTES,
      );
      await writeOnes(file, blocksAt * CLUSTER_BYTES, clusters);
      // Tables and the last data may be shorter than their clusters.
      await file.truncate(clusters * CLUSTER_BYTES);
      await file.sync();
      await writeAll(file, header(), 0);

      function header(): Buffer {
        // An empty list of extensions follows it.
        const bytes = Buffer.alloc(HEADER_BYTES + ENTRY_BYTES);
        bytes.writeUInt32BE(MAGIC, 0);
        bytes.writeUInt32BE(VERSION, 4);
        bytes.writeUInt32BE(CLUSTER_BITS, 20);
        bytes.writeBigUInt64BE(BigInt(sizeBytes), 24);
        bytes.writeUInt32BE(firstLevel.length, 36);
        bytes.writeBigUInt64BE(BigInt(firstLevelAt * CLUSTER_BYTES), 40);
        bytes.writeBigUInt64BE(BigInt(refcountTableAt * CLUSTER_BYTES), 48);
        bytes.writeUInt32BE(counts.tableClusters, 56);
        bytes.writeUInt32BE(REFCOUNT_ORDER, 96);
        bytes.writeUInt32BE(HEADER_BYTES, 100);
        return bytes;
      }
    },
  };
}

/** Entries of a table that name clusters of the file; cluster 0 = none. */
function entries(count: number, clusterOf: (n: number) => number, flags = COPIED): Buffer {
  const bytes = Buffer.alloc(count * ENTRY_BYTES);
  for (let n = 0; n < count; n += 1) {
    const cluster = clusterOf(n);
    if (cluster !== 0) bytes.writeBigUInt64BE(BigInt(cluster * CLUSTER_BYTES) | flags, n * ENTRY_BYTES);
  }
  return bytes;
}

/** Room for the reference counts of so many clusters and of their own. */
function refcountRoom(clusters: number): { readonly blocks: number; readonly tableClusters: number } {
  let blocks = 0;
  for (;;) {
    const tableClusters = Math.max(1, Math.ceil(blocks / ENTRIES_PER_TABLE));
    const needed = Math.ceil((clusters + blocks + tableClusters) / REFCOUNTS_PER_BLOCK);
    if (needed <= blocks) return { blocks, tableClusters };
    blocks = needed;
  }
}

async function writeOnes(file: FileHandle, offsetBytes: number, count: number): Promise<void> {
  const block = Buffer.alloc(CLUSTER_BYTES);
  for (let n = 0; n < REFCOUNTS_PER_BLOCK; n += 1) block.writeUInt16BE(1, n * REFCOUNT_BYTES);
  for (let left = count, at = offsetBytes; left > 0; left -= REFCOUNTS_PER_BLOCK, at += CLUSTER_BYTES)
    await writeAll(file, block.subarray(0, Math.min(left, REFCOUNTS_PER_BLOCK) * REFCOUNT_BYTES), at);
}
