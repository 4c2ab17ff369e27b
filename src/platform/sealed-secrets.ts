/** Secrets of channels and of places of copies as they lie in the database: AES-256-GCM under a key that is a file beside it, bound to the
 *  object they belong to. */

import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { keptSecret } from './kept-secret.ts';

export type Secrets = Readonly<Record<string, string>>;

export interface SecretSeal {
  seal(objectId: string, secrets: Secrets): string;
  /** @throws Error when it was sealed under another key, for another object, or changed since */
  open(objectId: string, sealed: string): Secrets;
}

const VERSION = 'v1';

/** @param path of the key file; made at first use */
export function createSecretSeal(path: string): SecretSeal {
  let key: Buffer | null = null;
  const theKey = () => {
    key ??= Buffer.from(
      keptSecret(path, () => randomBytes(32).toString('base64url')),
      'base64url',
    );
    return key;
  };
  return {
    seal(objectId, secrets) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv('aes-256-gcm', theKey(), nonce);
      cipher.setAAD(Buffer.from(objectId));
      const text = Buffer.concat([cipher.update(JSON.stringify(secrets), 'utf8'), cipher.final()]);
      return [VERSION, ...[nonce, cipher.getAuthTag(), text].map((part) => part.toString('base64url'))].join('.');
    },
    open(objectId, sealed) {
      const [version, nonce = '', tag = '', text = ''] = sealed.split('.');
      if (version !== VERSION) throw new Error(`secrets sealed in the unknown form ${version}`);
      const decipher = createDecipheriv('aes-256-gcm', theKey(), Buffer.from(nonce, 'base64url'));
      decipher.setAAD(Buffer.from(objectId));
      decipher.setAuthTag(Buffer.from(tag, 'base64url'));
      const plain = Buffer.concat([decipher.update(Buffer.from(text, 'base64url')), decipher.final()]);
      const parsed: unknown = JSON.parse(plain.toString('utf8'));
      return Object.fromEntries(
        Object.entries(typeof parsed === 'object' && parsed !== null ? parsed : {}).map(([name, value]) => [
          name,
          String(value),
        ]),
      );
    },
  };
}
