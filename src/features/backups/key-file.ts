/** Key files of encrypted repositories, where only hyperd reads. What is in them opens the backups of this host; after its loss the recovery
 *  key does. */

import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { writeDurably } from '#platform/durable-file.ts';

export async function writeKeyFile(path: string, key: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeDurably(path, `${key.toString('hex')}\n`);
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
