/** The clock that counts since the host booted: the same for every process, never stepped, and worth nothing after the next boot. */

import { readFile } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';

/** The clock that counts since the host booted; null where the host does not tell. */
export type BootClock = () => Promise<{ readonly id: string; readonly ms: number } | null>;

export const systemBootClock: BootClock = async () => {
  try {
    const id = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const seconds = Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]);
    return Number.isFinite(seconds) ? { id, ms: seconds * 1000 } : null;
  } catch (error) {
    // A container may hide them; then time without the daemon is told by the wall clock.
    if (hasErrno(error, 'ENOENT', 'EACCES')) return null;
    throw error;
  }
};
