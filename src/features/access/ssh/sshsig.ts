/** Verifies signatures made by `ssh-keygen -Y sign` or an SSH agent (OpenSSH, PROTOCOL.sshsig and PROTOCOL.u2f).
 *  Pure: says which key made a signature; whether that key may do anything is asked elsewhere. */

import { createHash, verify } from 'node:crypto';
import { SshReader, SshWireError, sshsigSignedBytes, uint32 } from '#kernel/ssh-wire.ts';
import { KeyRefused, type KeyType, parsePublicKey, type SshPublicKey } from './public-key.ts';

const MAX_BLOB_BYTES = 20_000;
const MAX_ARMOURED = 32_000;
const ARMOUR =
  /^-----BEGIN SSH SIGNATURE-----\r?\n((?:[A-Za-z0-9+/]+={0,2}\r?\n)+)-----END SSH SIGNATURE-----(?:\r?\n)?$/;
const HASHES = ['sha256', 'sha512'] as const;
/** Somebody touched the security key. */
const USER_PRESENT = 0x01;

/** Which hash each signature algorithm uses, and for which type of key it is. `ssh-rsa` alone would be SHA-1: it is not here. */
const ALGORITHMS: Readonly<Record<string, { readonly keyType: KeyType; readonly hash: string | null }>> = {
  'ssh-ed25519': { keyType: 'ssh-ed25519', hash: null },
  'ecdsa-sha2-nistp256': { keyType: 'ecdsa-sha2-nistp256', hash: 'sha256' },
  'ecdsa-sha2-nistp384': { keyType: 'ecdsa-sha2-nistp384', hash: 'sha384' },
  'ecdsa-sha2-nistp521': { keyType: 'ecdsa-sha2-nistp521', hash: 'sha512' },
  'rsa-sha2-256': { keyType: 'ssh-rsa', hash: 'sha256' },
  'rsa-sha2-512': { keyType: 'ssh-rsa', hash: 'sha512' },
  'sk-ssh-ed25519@openssh.com': { keyType: 'sk-ssh-ed25519@openssh.com', hash: null },
  'sk-ecdsa-sha2-nistp256@openssh.com': { keyType: 'sk-ecdsa-sha2-nistp256@openssh.com', hash: 'sha256' },
};

/** `reason` is for logs and tests; the person who asks hears only that it was refused. */
export type Verdict = { readonly key: SshPublicKey } | { readonly key: null; readonly reason: string };

class Refused extends Error {}

/** @param armoured text from BEGIN to END; @param message the exact bytes that should be signed
 *  @param namespace what the signature must have been made for */
export function verifySshSignature(armoured: string, message: Uint8Array, namespace: string): Verdict {
  try {
    return { key: check(decodeArmour(armoured), message, namespace) };
  } catch (error) {
    if (error instanceof Refused || error instanceof SshWireError || error instanceof KeyRefused)
      return { key: null, reason: error.message };
    throw error;
  }
}

function decodeArmour(text: string): Buffer {
  const body = text.length > MAX_ARMOURED ? undefined : ARMOUR.exec(text)?.[1];
  if (body === undefined) throw new Refused('not an SSH signature in its armour');
  const base64 = body.replace(/[\r\n]/g, '');
  const blob = Buffer.from(base64, 'base64');
  if (blob.toString('base64') !== base64) throw new Refused('the armour holds other than canonical base64');
  if (blob.length > MAX_BLOB_BYTES) throw new Refused('the signature is too long');
  return blob;
}

function check(blob: Buffer, message: Uint8Array, namespace: string): SshPublicKey {
  const reader = new SshReader(blob);
  if (reader.raw(6, 'the preamble').toString('latin1') !== 'SSHSIG') throw new Refused('not an SSH signature');
  if (reader.uint32('the version') !== 1) throw new Refused('unknown version of SSH signatures');
  const keyBlob = reader.string('the key');
  const signedFor = reader.string('the namespace');
  const reserved = reader.string('the reserved field');
  const hashName = reader.text('the hash');
  const signature = reader.string('the signature');
  reader.end('the signature');
  if (!signedFor.equals(Buffer.from(namespace))) throw new Refused('made for another purpose');
  if (reserved.length !== 0) throw new Refused('the reserved field is not empty');
  const hash = HASHES.find((name) => name === hashName);
  if (!hash) throw new Refused('unknown hash');
  const key = parsePublicKey(keyBlob);
  const signedBytes = sshsigSignedBytes(namespace, hash, createHash(hash).update(message).digest());
  if (!isSignedBy(key, signature, signedBytes)) throw new Refused('the signature does not fit');
  return key;
}

function isSignedBy(key: SshPublicKey, blob: Buffer, signedBytes: Buffer): boolean {
  const reader = new SshReader(blob);
  const algorithm = ALGORITHMS[reader.text('the algorithm')];
  if (algorithm?.keyType !== key.type) throw new Refused('the algorithm does not belong to the key');
  const signature = reader.string('the signature itself');
  let covered = signedBytes;
  if (key.application !== null) {
    const flags = reader.byte('the flags');
    const counter = reader.uint32('the counter');
    if ((flags & USER_PRESENT) === 0) throw new Refused('nobody touched the security key');
    covered = Buffer.concat([
      sha256(Buffer.from(key.application)),
      Buffer.of(flags),
      uint32(counter),
      sha256(signedBytes),
    ]);
  }
  reader.end('the signature itself');
  if (algorithm.hash !== null && key.type !== 'ssh-rsa') {
    const plain = plainCurveSignature(signature, key.sizeBytes);
    return verify(algorithm.hash, covered, { key: key.key, dsaEncoding: 'ieee-p1363' }, plain);
  }
  if (signature.length !== (key.type === 'ssh-rsa' ? key.sizeBytes : 64))
    throw new Refused('a signature of a wrong length');
  return verify(algorithm.hash, covered, key.key, signature);
}

/** r and s, which SSH writes as two integers, side by side and as long as the curve's coordinates. */
function plainCurveSignature(signature: Buffer, sizeBytes: number): Buffer {
  const reader = new SshReader(signature);
  const numbers = [reader.positive('r'), reader.positive('s')];
  reader.end('the numbers of the signature');
  return Buffer.concat(
    numbers.map((number) => {
      if (number.length > sizeBytes) throw new Refused('a number larger than the curve');
      return Buffer.concat([Buffer.alloc(sizeBytes - number.length), number]);
    }),
  );
}

const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
