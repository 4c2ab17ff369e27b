/** Keeps the log of a VM's serial port readable for us: virtlogd runs as root and makes it for root alone, but writes on in one that is
 *  there, whoever owns it. Needed only where hyperd is not root. */

import { lstat, open, rm } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';

/** Before a start. A log that turned over while the VM ran is root's; it is given up then, as the VM begins a new one. */
export async function makeSerialLogOurs(path: string, userId = process.getuid?.() ?? 0): Promise<void> {
  if (userId === 0) return;
  const found = await lstat(path).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  });
  if (found?.uid === userId) return;
  if (found !== null) await rm(path);
  const handle = await open(path, 'wx', 0o600);
  await handle.close();
}
