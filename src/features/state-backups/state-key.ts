/** The recovery key of the state. In repositories that are not encrypted it seals what is secret and proves that a state is ours; the host
 *  keeps what follows from it, people keep the key. Until it was typed back it is not used: nobody may depend on a key he never wrote down. */

import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { newRecoveryKey, readRecoveryKey } from '#features/backups/index.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { writeDurably } from '#platform/durable-file.ts';
import { sha256 } from './header.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface StateKey {
  /** Tells which key it is, and nothing of it. */
  readonly id: string;
  /** For second lines. */
  readonly mac: Uint8Array;
  seal(bytes: Buffer): Buffer;
  /** @throws Error when it was sealed with another key, or changed */
  open(sealed: Buffer): Buffer;
}

/** @param secret what `readRecoveryKey` makes of the typed key */
export function stateKeyOf(secret: Uint8Array): StateKey {
  const key = (use: string) => new Uint8Array(hkdfSync('sha256', secret, '', `hyper-nixos state ${use}`, 32));
  return {
    id: sha256(key('id')),
    mac: key('mac'),
    seal(bytes) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key('seal'), nonce);
      const text = Buffer.concat([cipher.update(bytes), cipher.final()]);
      return Buffer.concat([nonce, text, cipher.getAuthTag()]);
    },
    open(sealed) {
      const decipher = createDecipheriv('aes-256-gcm', key('seal'), sealed.subarray(0, NONCE_BYTES));
      decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
      return Buffer.concat([
        decipher.update(sealed.subarray(NONCE_BYTES, sealed.length - TAG_BYTES)),
        decipher.final(),
      ]);
    },
  };
}

export interface StateKeys {
  state(): Promise<'none' | 'unconfirmed' | 'ready'>;
  /** The key in use; null = none was made and typed back. */
  current(): Promise<StateKey | null>;
  /** @returns the key as people see it, this once */
  make(): Promise<string>;
  /** @throws key_wrong */
  confirm(typed: string): Promise<void>;
}

export function createStateKeys(stateFolder: string): StateKeys {
  const used = join(stateFolder, 'keys', 'state', 'recovery.key');
  const waiting = join(stateFolder, 'keys', 'state', 'unconfirmed.key');
  return {
    async state() {
      if ((await read(used)) !== null) return 'ready';
      return (await read(waiting)) === null ? 'none' : 'unconfirmed';
    },
    async current() {
      const secret = await read(used);
      return secret === null ? null : stateKeyOf(secret);
    },
    async make() {
      const text = newRecoveryKey();
      await mkdir(dirname(waiting), { recursive: true, mode: 0o700 });
      await writeDurably(waiting, `${readRecoveryKey(text).toString('hex')}\n`);
      return text;
    },
    async confirm(typed) {
      const secret = readRecoveryKey(typed);
      const expected = (await read(waiting)) ?? (await read(used));
      if (expected === null)
        throw new AppError('wrong_state', {
          detail: 'There is no recovery key of the state yet.',
          hint: 'Make one: `hv system recovery-key`.',
        });
      if (!timingSafeEqual(secret, expected))
        throw new AppError('key_wrong', {
          detail: 'This is not the recovery key that was made last.',
          hint: 'Compare it with what was shown, or make another: `hv system recovery-key`.',
        });
      if ((await read(waiting)) !== null) await rename(waiting, used);
    },
  };
}

async function read(path: string): Promise<Buffer | null> {
  try {
    return Buffer.from((await readFile(path, 'utf8')).trim(), 'hex');
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return null;
    throw error;
  }
}
