/** Files with secrets that an administrator made and the configuration names: read only when nobody else can read or change them. */

import { lstat, readFile, stat } from 'node:fs/promises';
import { hasErrno } from '#kernel/errors.ts';
import { ConfigError } from './config.ts';

/** The authorities that a system trusts are a quarter of this. */
const MAX_BYTES = 1024 * 1024;

/** @param key of the configuration that names the file, for the message
 *  @throws ConfigError naming file and mend */
export async function readSecretFile(path: string, key: string): Promise<string> {
  return readGuarded(path, key, 0o027, `chmod 600 ${path}`);
}

/** A file that others may read but not change, as a certificate.
 *  @throws ConfigError naming file and mend */
export async function readTrustedFile(path: string, key: string): Promise<string> {
  return readGuarded(path, key, 0o022, `chmod go-w ${path}`);
}

/** @param forbidden bits of the mode that must not be set. The group may read: that is how a key is shared with the one who renews it. */
async function readGuarded(path: string, key: string, forbidden: number, mend: string): Promise<string> {
  try {
    const [link, file] = await Promise.all([lstat(path), stat(path)]);
    if (!file.isFile()) throw new ConfigError(`${key}: ${path} is not a file.`);
    // Both the link and what it leads to: whoever owns the link chooses the file.
    for (const { uid } of [link, file])
      if (uid !== 0 && uid !== process.getuid?.())
        throw new ConfigError(
          `${key}: ${path} belongs to another user. Mend: chown -h root ${path}; chown root ${path}`,
        );
    if ((file.mode & forbidden) !== 0)
      throw new ConfigError(
        `${key}: ${path} can be ${(file.mode & 0o022) !== 0 ? 'written' : 'read'} by others. Mend: ${mend}`,
      );
    if (file.size > MAX_BYTES) throw new ConfigError(`${key}: ${path} is larger than ${MAX_BYTES / 1024} KiB.`);
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) throw new ConfigError(`${key}: ${path} does not exist.`);
    if (hasErrno(error, 'EACCES')) throw new ConfigError(`${key}: ${path} cannot be read by hyperd.`);
    throw error;
  }
}
