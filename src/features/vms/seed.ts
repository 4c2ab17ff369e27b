/** The cloud-init seed: a small ISO labelled CIDATA that the guest finds in a drive. It is made when the request is accepted, so that
 *  neither the password nor its hash is ever written to the journal. */

import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { run, runChecked } from '#platform/process.ts';
import type { SeedDocuments } from './cloud-init.ts';

const TOOL_TIMEOUT_MS = 30_000;

/** Writes the seed as `target`; a crash leaves at most a folder beside it that only we can enter.
 *  @param scratch folder for the documents meanwhile; only we can enter what is made in it
 *  @throws program_missing, program_failed, timeout */
export async function makeSeed(scratch: string, target: string, documents: SeedDocuments): Promise<void> {
  await mkdir(scratch, { recursive: true });
  const folder = await mkdtemp(join(scratch, 'seed-'));
  // Inside of the folder: xorriso makes its file readable by all.
  const part = join(folder, 'seed.iso');
  const sources = join(folder, 'documents');
  try {
    await mkdir(sources);
    await writeFile(join(sources, 'user-data'), documents.userData, { mode: 0o600 });
    await writeFile(join(sources, 'meta-data'), documents.metaData, { mode: 0o600 });
    if (documents.networkConfig !== null)
      await writeFile(join(sources, 'network-config'), documents.networkConfig, { mode: 0o600 });
    await runChecked(
      [
        'xorriso',
        '-as',
        'mkisofs',
        '-quiet',
        '-volid',
        'CIDATA',
        '-joliet',
        '-rational-rock',
        '-output',
        part,
        sources,
      ],
      { timeoutMs: TOOL_TIMEOUT_MS },
    );
    // It holds the password's hash.
    await chmod(part, 0o600);
    await rename(part, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** SHA-512 crypt of a password, as `/etc/shadow` has it. The password goes by stdin: arguments can be read by everyone.
 *  @throws AppError program_missing when openssl is not there */
export async function hashPassword(password: string): Promise<string> {
  const { code, stdout } = await run(['openssl', 'passwd', '-6', '-stdin'], {
    timeoutMs: TOOL_TIMEOUT_MS,
    stdin: `${password}\n`,
  });
  const hash = stdout.trim();
  if (code !== 0 || !hash.startsWith('$6$'))
    throw new AppError('program_failed', {
      detail: 'openssl could not hash the password',
      params: { program: 'openssl', exitStatus: code },
    });
  return hash;
}

/** Removes a seed that was not taken into use. */
export async function dropSeed(path: string): Promise<void> {
  try {
    await rm(path);
  } catch (error) {
    // The operation took it: what we wanted.
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
}
