/** Names of what a backup leaves in libvirt and on the disk of the host. They come from ids alone, so that it can always be told whose a
 *  checkpoint, folder or socket is. */

import { join } from 'node:path';
import type { Config } from '#platform/config.ts';

const PREFIX = 'hyp-';

const bare = (id: string): string => id.slice(id.indexOf('-') + 1);

/** The checkpoint that marks the moment of one backup. */
export const checkpointName = (repositoryId: string, operationId: string): string =>
  `${PREFIX}${bare(repositoryId)}-${bare(operationId)}`;

/** Whether a checkpoint is of this repository; those of other programs never are. */
export const isCheckpointOf = (repositoryId: string, name: string): boolean =>
  name.startsWith(`${PREFIX}${bare(repositoryId)}-`);

/** Where one backup works. QEMU makes the socket and the scratch files, so its user owns the folder; nobody else may enter: who reaches the
 *  socket reads the disks. */
export interface RunFolder {
  readonly path: string;
  /** QEMU serves the disks there. A socket's path may have 107 bytes. */
  readonly socketPath: string;
  /** Where QEMU keeps what the guest overwrites meanwhile. */
  scratchPath(target: string): string;
}

export interface RunFolders {
  /** Below it each backup has its own. In the state folder, because a backup goes on when hyperd is restarted. */
  readonly root: string;
  of(operationId: string): RunFolder;
}

export function runFolders({ state }: Pick<Config, 'state'>): RunFolders {
  const root = join(state.root, 'backup-runs');
  return {
    root,
    of(operationId) {
      const path = join(root, operationId);
      return {
        path,
        socketPath: join(path, 'nbd'),
        scratchPath: (target) => join(path, `${target}.scratch`),
      };
    },
  };
}
