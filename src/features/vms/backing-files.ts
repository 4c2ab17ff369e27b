/** Finds which disks other VMs build upon: an overlay is worthless once the disk below it is gone.
 *  Reads qcow2 headers only where the definition says qcow2; a raw disk is never probed. */

import { open } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { InventoryApi } from '#features/inventory/index.ts';
import { hasErrno } from '#kernel/errors.ts';

/** "QFI" and 0xfb, then version, offset (64 bit) and length (32 bit) of the backing file's name: QEMU, docs/interop/qcow2. */
const MAGIC = 0x51_46_49_fb;
const HEADER_BYTES = 20;
const MAX_NAME_BYTES = 1023;
/** Longer chains are no longer followed; libvirt itself gives up at 200. */
const MAX_DEPTH = 64;

/** The file that a qcow2 disk names as its backing file, or null. */
async function backingFileOf(path: string): Promise<string | null> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    file = await open(path, 'r');
  } catch (error) {
    // A disk that is gone or on a host of its own builds upon nothing here.
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'EACCES')) return null;
    throw error;
  }
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, HEADER_BYTES, 0);
    if (bytesRead < HEADER_BYTES || header.readUInt32BE(0) !== MAGIC) return null;
    const offset = header.readBigUInt64BE(8);
    const length = header.readUInt32BE(16);
    if (offset === 0n || length === 0 || length > MAX_NAME_BYTES) return null;
    const name = Buffer.alloc(length);
    const read = await file.read(name, 0, length, Number(offset));
    const text = name
      .subarray(0, read.bytesRead)
      .toString('utf8')
      .replace(/^file:/, '');
    return /^[a-z0-9+.-]+:/i.test(text) ? null : resolve(dirname(path), text);
  } finally {
    await file.close();
  }
}

/** All files below a qcow2 disk, nearest first. */
export async function backingChain(path: string): Promise<string[]> {
  const chain: string[] = [];
  for (
    let next = await backingFileOf(path);
    next !== null && chain.length < MAX_DEPTH;
    next = await backingFileOf(next)
  ) {
    if (chain.includes(next)) break;
    chain.push(next);
  }
  return chain;
}

/** Names of other VMs whose disks build upon a disk of this one. */
export async function dependants(vmId: string, disks: readonly string[], known: InventoryApi): Promise<string[]> {
  const names = new Set<string>();
  for (const vm of known.vms().filter(({ id }) => id !== vmId)) {
    const all = [...(known.facts(vm.id)?.disks ?? []), ...(known.storedFacts(vm.id)?.disks ?? [])];
    const overlays = new Set(all.flatMap((disk) => (disk.format === 'qcow2' && disk.path !== null ? [disk.path] : [])));
    for (const overlay of overlays)
      if ((await backingChain(overlay)).some((file) => disks.includes(file))) names.add(vm.name);
  }
  return [...names].sort();
}
