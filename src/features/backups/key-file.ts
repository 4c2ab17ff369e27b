/** Key files of encrypted repositories, where only hyperd reads. What is in them opens the backups of this host; after its loss the recovery
 *  key does. */

import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';

export async function writeKeyFile(path: string, key: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const half = `${path}.part`;
  const file = await open(half, 'w', 0o600);
  try {
    await file.writeFile(`${key.toString('hex')}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(half, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** @throws key_needed when it is gone */
export async function readKeyFile(path: string): Promise<Buffer> {
  try {
    return Buffer.from((await readFile(path, 'utf8')).trim(), 'hex');
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
    throw new AppError('key_needed', {
      detail: 'The key file of the repository is gone.',
      hint: 'Forget the repository and take it over with its recovery key: `hv repo create NAME FOLDER --existing`.',
      cause: error,
    });
  }
}
