/** The two keys of this installation's audit log, in a folder that only hyperd enters: one signs checkpoints, the other makes digests of
 *  secrets that cannot be guessed back. Made at first use; neither ever reaches the database. */

import { createHmac, createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { join } from 'node:path';
import { chainId, type Signed } from '#contract/audit-chain.ts';
import { keptSecret } from '#platform/kept-secret.ts';

export interface AuditKeys {
  readonly publicKey: string;
  /** Fingerprint of the public key; names the chain. */
  readonly chain: string;
  sign(body: string): Signed;
  /** `hmac:` and 32 hex characters; equal secrets have equal digests within one installation. */
  digest(secret: string): string;
}

/** @param dir made when it is not there
 *  @throws Error when a key file is there and cannot be read: a new key would end the old chain unseen */
export function openAuditKeys(dir: string): AuditKeys {
  const pem = keptSecret(join(dir, 'signing.key'), () =>
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  );
  const secret = keptSecret(join(dir, 'digest.key'), () => randomBytes(32).toString('base64url'));
  const privateKey = createPrivateKey(pem);
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }).toString();
  return {
    publicKey,
    chain: chainId(publicKey),
    sign: (body) => ({ body, signature: sign(null, Buffer.from(body), privateKey).toString('base64') }),
    digest: (value) => `hmac:${createHmac('sha256', secret).update(value).digest('hex').slice(0, 32)}`,
  };
}
