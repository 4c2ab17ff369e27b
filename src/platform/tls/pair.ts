/** Certificates with their keys as pairs of files, `NAME.pem` and `NAME.key`, put in place so that a crash leaves no half pair. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { hasErrno } from '#kernel/errors.ts';

/** What the dashboard shows to who connects. */
export interface ServerCertificate {
  /** PEM of the leaf followed by those that lead to its authority. */
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of the leaf, upper-case pairs with colons, as browsers show it. */
  readonly fingerprint: string;
}

/** A certificate, perhaps with its chain, and the key that belongs to it. */
export interface KeyedCertificate {
  readonly pem: string;
  readonly keyPem: string;
  readonly parsed: X509Certificate;
}

/** Null when there is none. @throws Error naming the files when they are damaged or do not fit */
export async function readPair(dir: string, name: string): Promise<KeyedCertificate | null> {
  try {
    const [pem, keyPem] = await Promise.all([
      readFile(join(dir, `${name}.pem`), 'utf8'),
      readFile(join(dir, `${name}.key`), 'utf8'),
    ]);
    const parsed = new X509Certificate(pem);
    if (!parsed.checkPrivateKey(createPrivateKey(keyPem)))
      throw new Error('certificate and key do not belong together');
    return { pem, keyPem, parsed };
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw new Error(
      `The certificate ${join(dir, name)}.pem or its key is damaged. Move both away to have new ones made.`,
      { cause: error },
    );
  }
}

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Lets `make` write `pem` and `key` in a scratch folder and then puts both in place; a crash leaves no half pair that is used. */
export async function publishPair(
  dir: string,
  name: string,
  make: (scratch: string) => Promise<void>,
): Promise<KeyedCertificate> {
  const scratch = await mkdtemp(join(dir, 'making-'));
  try {
    await make(scratch);
    for (const part of ['key', 'pem']) await syncFile(join(scratch, part));
    // A pair counts only when both files are there and fit; a crash in between is found by readPair as "no certificate yet".
    await rm(join(dir, `${name}.pem`), { force: true });
    await rename(join(scratch, 'key'), join(dir, `${name}.key`));
    await rename(join(scratch, 'pem'), join(dir, `${name}.pem`));
    await syncFile(dir);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  const made = await readPair(dir, name);
  if (!made) throw new Error(`The new certificate ${name}.pem vanished from ${dir}.`);
  return made;
}
