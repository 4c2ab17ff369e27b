/** Where one proof works: overlays that the test VM writes to, the socket that it reads the restore point through, its firmware variables.
 *  Below the state folder, passable for QEMU's user; all of it is gone with the proof. */

import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';

export interface WorkFolder {
  readonly path: string;
  readonly socketPath: string;
  readonly nvramPath: string;
  overlayPath(target: string): string;
}

export interface WorkFolders {
  of(operationId: string): WorkFolder;
  make(operationId: string): Promise<WorkFolder>;
  remove(operationId: string): Promise<void>;
  /** Operations that a folder is there of. */
  list(): Promise<readonly string[]>;
}

/** The state folder can be passed through by anybody on the host; what lies in here only by who knows its name, and the socket asks
 *  for QEMU's group besides. */
const PASSABLE = 0o711;

export function workFolders(stateFolder: string): WorkFolders {
  const root = join(stateFolder, 'proving');
  const of = (operationId: string): WorkFolder => {
    const path = join(root, operationId);
    return {
      path,
      // A socket's path may have 107 bytes.
      socketPath: join(path, 'nbd'),
      nvramPath: join(path, 'nvram.fd'),
      overlayPath: (target) => join(path, `${target}.qcow2`),
    };
  };
  return {
    of,
    async make(operationId) {
      const folder = of(operationId);
      for (const path of [root, folder.path]) {
        await mkdir(path, { recursive: true, mode: PASSABLE });
        await chmod(path, PASSABLE);
      }
      return folder;
    },
    remove: (operationId) => rm(of(operationId).path, { recursive: true, force: true }),
    async list() {
      try {
        return await readdir(root);
      } catch (error) {
        if (hasErrno(error, 'ENOENT')) return [];
        throw error;
      }
    },
  };
}
