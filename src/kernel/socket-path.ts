/** The limit of unix socket paths, which hyperd, its clients and the launcher name in the same words. */

/** What `sun_path` holds without its closing NUL (Linux, unix(7)). */
const SOCKET_PATH_BYTES = 107;

/** The longest name that we give a socket; the runtime folder has to leave room for it. */
const LONGEST_NAME = '/operator.sock';

const FOLDER_BYTES = SOCKET_PATH_BYTES - LONGEST_NAME.length;

export interface FolderProblem {
  readonly problem: string;
  readonly mend: string;
}

/** Why sockets cannot lie in this folder, or null when they can. `scripts/launcher/services.sh` says the same. */
export function socketFolderProblem(folder: string): FolderProblem | null {
  const bytes = Buffer.byteLength(folder);
  if (bytes <= FOLDER_BYTES) return null;
  return {
    problem: `The runtime folder is ${bytes} bytes long and sockets take ${FOLDER_BYTES} at most: ${folder}`,
    mend: 'Set HV_RUNTIME_DIR to a shorter path, as /run/hyper-nixos.',
  };
}
