/** What QEMU, which runs as a user of its own, may use of our files; and overlays on disks that our NBD server exports. */

import { chmod, chown } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';
import { runChecked } from './process.ts';

/** Its user and group. */
export interface QemuUser {
  readonly uid: number;
  readonly gid: number;
}

/** Lets QEMU's user use a file or socket of ours. hyperd is root or a member of that group; where it is neither, nothing is changed and
 *  QEMU is refused later, with its own words. */
export async function giveToQemu(path: string, qemu: Pick<QemuUser, 'gid'> | null, mode: number): Promise<void> {
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
