/** Bridges of the host that NICs can attach to, from /sys/class/net; those that libvirt's networks own are left out by the caller. */

import { access, readdir, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';

export interface HostBridge {
  readonly name: string;
  readonly isUp: boolean;
  readonly addresses: readonly { readonly address: string; readonly prefix: number }[];
}

const NET_FOLDER = '/sys/class/net';

export async function hostBridges(folder: string = NET_FOLDER): Promise<HostBridge[]> {
  const names = await listed(folder);
  const interfaces = networkInterfaces();
  const bridges: HostBridge[] = [];
  for (const name of names.sort()) {
    if (!(await isThere(join(folder, name, 'bridge')))) continue;
    bridges.push({
      name,
      isUp: ['up', 'unknown'].includes((await textOf(join(folder, name, 'operstate'))).trim()),
      addresses: (interfaces[name] ?? [])
        .filter((address) => address.cidr !== null)
        .map((address) => ({ address: address.address, prefix: Number(address.cidr?.split('/')[1]) })),
    });
  }
  return bridges;
}

async function listed(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    // A container may come without /sys.
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // An interface can go away between the listing and the look.
    if (hasErrno(error, 'ENOENT', 'EINVAL')) return '';
    throw error;
  }
}
