/** Where one proof works: overlays that the test VM writes to, the socket that it reads the restore point through, its firmware variables.
 *  Below the state folder, passable for QEMU's user; all of it is gone with the proof. */

import { chmod, chown, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import { runChecked } from '#platform/process.ts';

/** Its user and group. */
export interface QemuUser {
  readonly uid: number;
  readonly gid: number;
}

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

/** Lets QEMU's user use a file or socket of ours. hyperd is root or a member of that group; where it is neither, nothing is changed and
 *  QEMU is refused later, with its own words. */
export async function giveToQemu(path: string, qemu: QemuUser | null, mode: number): Promise<void> {
  if (qemu !== null)
    await chown(path, process.getuid?.() ?? -1, qemu.gid).catch((error: unknown) => {
      if (!hasErrno(error, 'EPERM')) throw error;
    });
  await chmod(path, mode);
}

const MAKE_MS = 30_000;

/** An empty overlay over a disk that our server exports. Nothing is copied: QEMU reads what the guest asks for.
 *  @throws program_missing, program_failed, no_space */
export async function makeOverlay(
  overlayPath: string,
  from: { readonly socketPath: string; readonly exportName: string; readonly sizeBytes: number },
  signal: AbortSignal,
): Promise<void> {
  // Not a URL made of text: the path may hold what means something in one.
  const backing = {
    driver: 'raw',
    file: { driver: 'nbd', server: { type: 'unix', path: from.socketPath }, export: from.exportName },
  };
  const argv = ['qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', `json:${JSON.stringify(backing)}`];
  await runChecked([...argv, overlayPath, String(from.sizeBytes)], { timeoutMs: MAKE_MS, signal });
}
