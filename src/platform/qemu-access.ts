/** What QEMU, which runs as a user of its own, may use of our files; and overlays on disks that our NBD server exports. */

import { chmod, chown, mkdir } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';
import { runChecked } from './process.ts';

/** Its user and group. */
export interface QemuUser {
  readonly uid: number;
  readonly gid: number;
}

/** Makes a folder that QEMU's user can pass through, and not list, to the files in it that it was given; whatever mask hyperd was started
 *  with. Folders above it have to be so already. */
export async function makePassable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o711);
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

/** A disk that our server exports. */
export interface ExportedDisk {
  readonly socketPath: string;
  readonly exportName: string;
}

/** Not a URL made of text: the path may hold what means something in one. */
function backingOf({ socketPath, exportName }: ExportedDisk): string {
  const server = { type: 'unix', path: socketPath };
  return `json:${JSON.stringify({ driver: 'raw', file: { driver: 'nbd', server, export: exportName } })}`;
}

/** Lets a qcow2 disk that nobody uses build upon an export, whatever it built upon before. No data is touched.
 *  @throws program_missing, program_failed */
export async function layOver(path: string, from: ExportedDisk, signal: AbortSignal): Promise<void> {
  const argv = ['qemu-img', 'rebase', '-u', '-f', 'qcow2', '-F', 'raw', '-b', backingOf(from), path];
  await runChecked(argv, { timeoutMs: MAKE_MS, signal });
}

/** An empty overlay over a disk that our server exports. Nothing is copied: QEMU reads what the guest asks for.
 *  @throws program_missing, program_failed, no_space */
export async function makeOverlay(
  overlayPath: string,
  from: ExportedDisk & { readonly sizeBytes: number },
  signal: AbortSignal,
): Promise<void> {
  const argv = ['qemu-img', 'create', '-q', '-u', '-f', 'qcow2', '-F', 'raw', '-b', backingOf(from)];
  await runChecked([...argv, overlayPath, String(from.sizeBytes)], { timeoutMs: MAKE_MS, signal });
}
