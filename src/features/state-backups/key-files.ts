/** Files of the state folder that hold keys, which come and go together: without them sealed settings cannot be opened, and the machine
 *  would show itself as another one. */

import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';
import type { Secrets } from './header.ts';

/** The certificate of the dashboard is not among them: the authority makes a new one for the names of the new machine. */
const FILES = ['ca/ca.pem', 'ca/ca.key', 'audit/signing.key', 'audit/digest.key', 'notifications/secrets.key'];
const FOLDER = 'keys';
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
const MAX_BYTES = 64 * 1024;
const MAX_DEPTH = 3;

/** Whether a path that came with a state is one of these. */
export function isKeyFile(path: string): boolean {
  if (FILES.includes(path)) return true;
  const [folder, ...names] = path.split('/');
  return folder === FOLDER && names.length > 0 && names.length <= MAX_DEPTH && names.every((name) => NAME.test(name));
}

export async function readKeyFiles(root: string): Promise<Secrets> {
  const paths = [...FILES, ...(await filesBelow(root, FOLDER, MAX_DEPTH))].filter(isKeyFile).sort();
  const found: Secrets = [];
  for (const path of paths)
    try {
      const facts = await lstat(join(root, path));
      if (facts.isFile() && facts.size <= MAX_BYTES)
        found.push({ path, data: (await readFile(join(root, path))).toString('base64') });
    } catch (error) {
      if (!hasErrno(error, 'ENOENT')) throw error;
    }
  return found;
}

async function filesBelow(root: string, folder: string, depth: number): Promise<string[]> {
  try {
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    const found: string[] = [];
    for (const entry of entries) {
      const path = `${folder}/${entry.name}`;
      if (entry.isFile() && !entry.name.endsWith('.part')) found.push(path);
      else if (entry.isDirectory() && depth > 1) found.push(...(await filesBelow(root, path, depth - 1)));
    }
    return found;
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
