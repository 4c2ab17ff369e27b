/** Local files that commands read: keys, passwords, cloud-init documents. */

import { open, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { usageFailure } from './failure.ts';

const MAX_BYTES = 64 * 1024;

/** Text of a small file; `-` reads stdin.
 *  @throws Failure exit 2 when it cannot be read or is larger than 64 KiB */
export async function readSmallFile(path: string): Promise<string> {
  if (path === '-') {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString('utf8');
  }
  const file = await open(expandHome(path)).catch((error: unknown) => {
    throw unreadable(path, error);
  });
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAX_BYTES + 1), 0, MAX_BYTES + 1, 0);
    if (bytesRead > MAX_BYTES) throw usageFailure(`"${path}" is larger than 64 KiB`, 'Give a smaller file.');
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    throw hasErrno(error, 'EISDIR', 'EIO') ? unreadable(path, error) : error;
  } finally {
    await file.close();
  }
}

/** The first line of a file; `-` reads stdin. */
export async function readSecretFile(path: string): Promise<string> {
  const [line = ''] = (await readSmallFile(path)).split(/\r?\n/);
  if (line === '') throw usageFailure(`the first line of "${path}" is empty`, 'Write the password on the first line.');
  return line;
}

/** Public keys from texts that are keys or names of files with one key a line. */
export async function sshKeysFrom(texts: readonly string[]): Promise<string[]> {
  const keys: string[] = [];
  for (const text of texts) {
    const content = /^(ssh-|ecdsa-|sk-)\S+ /.test(text) ? text : await readSmallFile(text);
    if (/PRIVATE KEY/.test(content))
      throw usageFailure(
        `"${text}" is a private key`,
        'Give the public one; its file name ends in .pub. A private key never leaves your machine.',
      );
    const found = content
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter((line) => line !== '' && !line.startsWith('#'));
    if (found.length === 0) throw usageFailure(`"${text}" holds no key`, 'Give a file as ~/.ssh/id_ed25519.pub.');
    keys.push(...found);
  }
  return keys;
}

/** Public keys of the user, for suggestions. */
export async function publicKeyFiles(env: NodeJS.ProcessEnv): Promise<string[]> {
  const dir = join(env['HOME'] || homedir(), '.ssh');
  // No such folder or no right to read it: there is nothing to suggest.
  const names = await readdir(dir).catch(() => []);
  return names
    .filter((name) => name.endsWith('.pub'))
    .sort()
    .map((name) => `~/.ssh/${name}`);
}

function expandHome(path: string): string {
  return path.startsWith('~/') ? join(process.env['HOME'] || homedir(), path.slice(2)) : path;
}

/** Why a local file cannot be used. */
export function unreadable(path: string, error: unknown): Error {
  const reason = hasErrno(error, 'ENOENT')
    ? 'there is no such file'
    : hasErrno(error, 'EACCES')
      ? 'you may not read it'
      : hasErrno(error, 'EISDIR')
        ? 'it is a folder'
        : messageOf(error);
  return usageFailure(`"${path}": ${reason}`, 'Give the path of a file that you can read.');
}
