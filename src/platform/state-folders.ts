/** Makes the folders below the state folder and makes sure that they are ours: behind a link, or in a folder that somebody else
 *  may change, disks and deleted VMs would be written and removed where nobody expects it. */

import { chmod, lstat, mkdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { ConfigError, type StateFolders } from './config.ts';

const OTHERS_WRITE = 0o022;

/** QEMU runs as its own user and must be able to pass through to the files it was given; it cannot list anything. */
const PASSABLE = 0o711;
const OURS_ALONE = 0o700;

/** Makes what is missing. The state folder itself may be a link.
 *  @throws ConfigError naming the folder and the mend */
export async function prepareStateFolders(state: StateFolders): Promise<void> {
  await prepareRoot(state.root);
  for (const folder of [state.images, state.disks]) await prepareFolder(folder, PASSABLE);
  for (const folder of [state.ca, state.scratch, state.trash, state.quarantine])
    await prepareFolder(folder, OURS_ALONE);
  // Made with the first VM.
  for (const name of ['nvram', 'serial']) await checkFolder(join(state.root, name));
}

async function prepareRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: PASSABLE });
  } catch (error) {
    if (!hasErrno(error, 'EEXIST', 'ENOTDIR', 'ENOENT')) throw error;
  }
  const isFolder = await stat(root).then(
    (found) => found.isDirectory(),
    (error: unknown) => {
      if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return false;
      throw error;
    },
  );
  if (!isFolder)
    throw new ConfigError(
      `The state folder ${root} is not a folder, nor a link to one. Move it away, or set HV_STATE_DIR.`,
    );
  await chmod(root, PASSABLE);
}

async function prepareFolder(folder: string, mode: number): Promise<void> {
  if (!(await checkFolder(folder))) await mkdir(folder, { mode });
  await chmod(folder, mode);
}

/** False when it is not there. */
async function checkFolder(folder: string): Promise<boolean> {
  const found = await lstat(folder).catch((error: unknown) => {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  });
  if (found === null) return false;
  const refuse = (problem: string, mend: string) =>
    new ConfigError(
      `${folder} ${problem}. It has to be a folder of hyperd's user that others cannot write to. ${mend}`,
    );
  if (found.isSymbolicLink())
    throw refuse(
      'is a symbolic link',
      `Put a real folder there, with what lies behind the link; to keep "${basename(folder)}" on another disk, mount that there.`,
    );
  if (!found.isDirectory()) throw refuse('is not a folder', 'Move it away.');
  const user = process.getuid?.() ?? found.uid;
  if (found.uid !== user) throw refuse(`belongs to another user (${found.uid})`, `Mend: chown ${user} ${folder}`);
  if ((found.mode & OTHERS_WRITE) !== 0) throw refuse('can be written by others', `Mend: chmod go-w ${folder}`);
  return true;
}
