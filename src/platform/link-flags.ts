/** Whether a network device of this machine is switched on, as the kernel keeps it. Source: the kernel's
 *  Documentation/ABI/testing/sysfs-class-net (`flags`) and IFF_UP of linux/if.h. */

import { readFile } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';

const IFF_UP = 1;

export const linkFlagsPath = (device: string): string => `/sys/class/net/${device}/flags`;

/** @param flags text of that file, as `0x1003` */
export const isSwitchedOff = (flags: string): boolean => (Number(flags.trim()) & IFF_UP) === 0;

/** False for a device that is not there. */
export async function isLinkOff(device: string): Promise<boolean> {
  try {
    return isSwitchedOff(await readFile(linkFlagsPath(device), 'utf8'));
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR', 'EINVAL')) return false;
    throw error;
  }
}
