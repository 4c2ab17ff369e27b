/** Keys of an encrypted repository: one random master key, wrapped by the bytes of a key file and by a recovery key that people write
 *  down and type. Whoever calls keeps the files; here are only bytes. */

import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '#kernel/errors.ts';
import type { ObjectKeys } from './object.ts';

const KEY_BYTES = 32;
const RECOVERY_BYTES = 20;
const CHECK_CHARACTERS = 4;
const GROUP = 4;
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';
const hexOf = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

export const wrappedKeySchema = z.object({
  kind: z.enum(['file', 'recovery']),
  nonce: hexOf(12),
  sealed: hexOf(KEY_BYTES),
  tag: hexOf(16),
});
export type WrappedKey = z.infer<typeof wrappedKeySchema>;

/** What follows from the master key. */
export interface RepositoryKeys extends ObjectKeys {
  /** For the second lines of repo.json and manifests. */
  readonly mac: Uint8Array;
}

/** Bytes for a new key file. */
export function newRepositoryKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/** A new recovery key as people see it: 160 random bits and a check of 20, as nine groups of four letters and digits. */
export function newRecoveryKey(): string {
  const text = base32(randomBytes(RECOVERY_BYTES));
  return `${text}${checkOf(text)}`.replace(new RegExp(`(.{${GROUP}})(?!$)`, 'g'), '$1-');
}

/** The bytes of a typed recovery key; case, dashes and blanks do not matter, O is 0, I and L are 1.
 *  @throws AppError key_wrong when it is mistyped */
export function readRecoveryKey(typed: string): Buffer {
  const text = typed.toLowerCase().replace(/[\s-]/g, '').replaceAll('o', '0').replace(/[il]/g, '1');
  const body = text.slice(0, -CHECK_CHARACTERS);
  if (
    body.length !== (RECOVERY_BYTES * 8) / 5 ||
    [...text].some((character) => !ALPHABET.includes(character)) ||
    text.slice(-CHECK_CHARACTERS) !== checkOf(body)
  )
    throw new AppError('key_wrong', {
      detail: 'The recovery key is mistyped: its last four characters do not fit the others.',
      hint: 'Compare it with what was shown, group by group.',
    });
  const bytes = Buffer.alloc(RECOVERY_BYTES);
  let bits = 0n;
  for (const character of body) bits = (bits << 5n) | BigInt(ALPHABET.indexOf(character));
  bytes.write(bits.toString(16).padStart(RECOVERY_BYTES * 2, '0'), 'hex');
  return bytes;
}

/** A new master key and what it looks like to those who hold one of the two keys. */
export function newMasterKey(
  repositoryId: string,
  holders: { readonly key: Uint8Array; readonly recoveryKey: Uint8Array },
): { readonly keys: RepositoryKeys; readonly wrappedKeys: WrappedKey[] } {
  const master = randomBytes(KEY_BYTES);
  return {
    keys: derived(master, repositoryId),
    wrappedKeys: [
      wrapped(master, 'file', holders.key, repositoryId),
      wrapped(master, 'recovery', holders.recoveryKey, repositoryId),
    ],
  };
}

/** The keys, when `key` is one of those that the master key was wrapped by; null otherwise. */
export function unwrapKeys(
  wrappedKeys: readonly WrappedKey[],
  key: Uint8Array,
  repositoryId: string,
): RepositoryKeys | null {
  for (const { kind, nonce, sealed, tag } of wrappedKeys) {
    const decipher = createDecipheriv('aes-256-gcm', wrapping(kind, key, repositoryId), Buffer.from(nonce, 'hex'))
      .setAAD(Buffer.from(kind))
      .setAuthTag(Buffer.from(tag, 'hex'));
    const master = decipher.update(Buffer.from(sealed, 'hex'));
    try {
      decipher.final();
    } catch {
      // The tag tells only that this is not the key of this one; the other may be.
      continue;
    }
    return derived(master, repositoryId);
  }
  return null;
}

function wrapped(master: Buffer, kind: WrappedKey['kind'], key: Uint8Array, repositoryId: string): WrappedKey {
  const nonce = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', wrapping(kind, key, repositoryId), nonce).setAAD(Buffer.from(kind));
  const sealed = Buffer.concat([cipher.update(master), cipher.final()]).toString('hex');
  return { kind, nonce: nonce.toString('hex'), sealed, tag: cipher.getAuthTag().toString('hex') };
}

const wrapping = (kind: WrappedKey['kind'], key: Uint8Array, repositoryId: string) =>
  expanded(key, repositoryId, `wrap ${kind}`);

const derived = (master: Uint8Array, repositoryId: string): RepositoryKeys => ({
  id: expanded(master, repositoryId, 'id'),
  data: expanded(master, repositoryId, 'data'),
  mac: expanded(master, repositoryId, 'mac'),
});

/** HKDF-SHA-256: both keys are random, so nothing slow is needed. */
const expanded = (key: Uint8Array, repositoryId: string, use: string) =>
  new Uint8Array(hkdfSync('sha256', key, repositoryId, `hyper-nixos backup ${use}`, KEY_BYTES));

function base32(bytes: Buffer): string {
  let bits = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let n = 0; n < (bytes.length * 8) / 5; n += 1) {
    text = `${ALPHABET[Number(bits & 31n)]}${text}`;
    bits >>= 5n;
  }
  return text;
}

/** The first 20 bits of the text's SHA-256. */
function checkOf(text: string): string {
  const digest = createHash('sha256').update(text).digest();
  const bits = digest.readUIntBE(0, 3) >>> 4;
  let check = '';
  for (let shift = 15; shift >= 0; shift -= 5) check += ALPHABET[(bits >>> shift) & 31];
  return check;
}
