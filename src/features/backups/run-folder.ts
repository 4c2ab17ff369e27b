/** Makes and removes the folder that one backup works in. */

import { chmod, chown, mkdir, readdir, rm } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';
import { makePassable, type QemuUser } from '#platform/qemu-access.ts';
import type { RunFolder } from './names.ts';

/** Empty, whatever an earlier try left there: QEMU takes neither a socket nor a scratch file that is there.
 *  @param user null = libvirt does not tell; then QEMU is one of us */
export async function prepareRunFolder(root: string, folder: RunFolder, user: QemuUser | null): Promise<void> {
  await makePassable(root);
  await rm(folder.path, { recursive: true, force: true });
  await mkdir(folder.path, { mode: 0o750 });
  if (user === null) return;
  // Root gives the folder to QEMU's user. Anybody else has to be in his group, which then may make files there.
  if (process.getuid?.() === 0) await chown(folder.path, user.uid, user.gid);
  else {
    await chown(folder.path, -1, user.gid);
    await chmod(folder.path, 0o770);
  }
}

export async function removeRunFolder(folder: RunFolder): Promise<void> {
  await rm(folder.path, { recursive: true, force: true });
}

/** Ids of the operations that have a folder. */
export async function runsWithFolder(root: string): Promise<readonly string[]> {
  try {
    return await readdir(root);
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
