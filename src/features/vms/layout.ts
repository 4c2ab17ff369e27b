/** Where the files of a VM lie. Names come from operation ids and UUIDs only, never from what a user typed. */

import { chmod, mkdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StateFolders } from '#platform/config.ts';

export interface VmFiles {
  /** Disk `n` (from 0) that an operation makes. */
  disk(operationId: string, n: number, format: 'qcow2' | 'raw'): string;
  /** The cloud-init seed in use. */
  seed(operationId: string): string;
  /** The seed between acceptance and the operation's own step. */
  preparedSeed(vmId: string): string;
  /** UEFI variables. */
  nvram(vmId: string): string;
  /** What the guest wrote to its first serial port, kept by virtlogd (2 MiB, and three older files `.0` to `.2`). */
  serialLog(vmId: string): string;
  /** Everything of one deleted VM. */
  trash(trashId: string): string;
  /** What an undone operation leaves. */
  quarantine(operationId: string): string;
  /** True for a disk or seed that an operation of ours made in the pool folder. */
  isOwnDisk(path: string): boolean;
  isOwnNvram(path: string): boolean;
}

/** Base-32 alphabet of the ids, see kernel/ids.ts. */
const OWN_DISK = /^op-[0-9a-z]{26}-(?:\d{1,2}\.(?:qcow2|raw)|seed\.iso)$/;

export function vmFiles(state: StateFolders): VmFiles {
  const nvramFolder = join(state.root, 'nvram');
  const isIn = (folder: string, path: string) => dirname(path) === folder;
  return {
    disk: (operationId, n, format) => join(state.disks, `${operationId}-${n}.${format}`),
    seed: (operationId) => join(state.disks, `${operationId}-seed.iso`),
    preparedSeed: (vmId) => join(state.scratch, `seed-${vmId}.iso`),
    nvram: (vmId) => join(nvramFolder, `${vmId}.fd`),
    serialLog: (vmId) => join(state.root, 'serial', `${vmId}.log`),
    trash: (trashId) => join(state.trash, trashId),
    quarantine: (operationId) => join(state.quarantine, operationId),
    isOwnDisk: (path) => isIn(state.disks, path) && OWN_DISK.test(path.slice(state.disks.length + 1)),
    isOwnNvram: (path) => isIn(nvramFolder, path),
  };
}

/** Makes the folders that QEMU's user has to pass through, and opens those above them for passing (not for listing). */
export async function prepareFolders(state: StateFolders): Promise<void> {
  const passable = [state.root, state.disks, join(state.root, 'nvram'), join(state.root, 'serial'), state.images];
  for (const folder of passable) {
    await mkdir(folder, { recursive: true, mode: 0o711 });
    const { mode } = await stat(folder);
    if ((mode & 0o011) !== 0o011) await chmod(folder, (mode & 0o7777) | 0o011);
  }
  for (const folder of [state.scratch, state.trash, state.quarantine])
    await mkdir(folder, { recursive: true, mode: 0o700 });
}
