/** Where one proof works: overlays that the test VM writes to, the socket that it reads the restore point through, its firmware variables.
 *  Below the state folder, passable for QEMU's user; all of it is gone with the proof. */

import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { makePassable } from '#platform/qemu-access.ts';

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
      // What lies in here can be reached by who knows its name, and the socket asks for QEMU's group besides.
      for (const path of [root, folder.path]) await makePassable(path);
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
