/** SSH signatures made with Node's own keys: what a security key and what an attacker would make, which ssh-keygen cannot.
 *  Not for production: nothing here checks anything. */

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { sshString, uint32 } from '#kernel/ssh-wire.ts';

/** An integer as SSH writes it: shortest form, a zero in front where the first bit is set. */
function mpint(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const short = Buffer.from(bytes.subarray(start));
  return sshString((short[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), short]) : short);
}

export interface SigParts {
  readonly version?: number;
  readonly namespace?: string;
  readonly reserved?: string;
  readonly hash?: 'sha256' | 'sha512' | 'sha1';
  /** Put behind the end. */
  readonly trailing?: Uint8Array;
}

export interface TestKey {
  readonly blob: Buffer;
  /** `type base64 comment`. */
  readonly line: string;
  /** Armoured signature of a message, for the sign-in namespace unless told otherwise. */
  sign(message: string, parts?: SigParts): string;
}

export function armour(blob: Uint8Array): string {
  const lines =
    Buffer.from(blob)
      .toString('base64')
      .match(/.{1,70}/g) ?? [];
  return `-----BEGIN SSH SIGNATURE-----\n${lines.join('\n')}\n-----END SSH SIGNATURE-----\n`;
}

export function unarmour(text: string): Buffer {
  return Buffer.from(text.replace(/-----[A-Z ]+-----|\n/g, ''), 'base64');
}

/** @param signBytes makes the inner signature (algorithm and all) over the signed bytes */
export function testKey(type: string, blob: Buffer, signBytes: (bytes: Buffer) => Buffer): TestKey {
  return {
    blob,
    line: `${type} ${blob.toString('base64')} test@example`,
    sign(message, { version = 1, namespace = 'login@hyper-nixos', reserved = '', hash = 'sha512', trailing } = {}) {
      const head = [sshString(namespace), sshString(reserved), sshString(hash)];
      const digest = createHash(hash).update(message).digest();
      const covered = Buffer.concat([Buffer.from('SSHSIG'), ...head, sshString(digest)]);
      const parts = [Buffer.from('SSHSIG'), uint32(version), sshString(blob), ...head, sshString(signBytes(covered))];
      return armour(Buffer.concat([...parts, trailing ?? Buffer.alloc(0)]));
    },
  };
}

const rawEd25519 = (key: KeyObject) => Buffer.from(String(key.export({ format: 'jwk' }).x), 'base64url');

function rawPoint(key: KeyObject): Buffer {
  const { x = '', y = '' } = key.export({ format: 'jwk' });
  return Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
}

/** r and s of a signature in IEEE P1363 form as SSH writes them. */
function curveNumbers(plain: Buffer): Buffer {
  return Buffer.concat([mpint(plain.subarray(0, plain.length / 2)), mpint(plain.subarray(plain.length / 2))]);
}

export function ed25519Key(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const blob = Buffer.concat([sshString('ssh-ed25519'), sshString(rawEd25519(publicKey))]);
  const signBytes = (bytes: Buffer) =>
    Buffer.concat([sshString('ssh-ed25519'), sshString(sign(null, bytes, privateKey))]);
  return testKey('ssh-ed25519', blob, signBytes);
}

export interface AuthenticatorOptions {
  readonly application?: string;
  /** 1 = somebody touched the key. */
  readonly flags?: number;
  readonly counter?: number;
}

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest();

/** A security key in software. */
export function securityKey(
  kind: 'ed25519' | 'ecdsa',
  { application = 'ssh:', flags = 1, counter = 7 }: AuthenticatorOptions = {},
): TestKey {
  const covered = (bytes: Buffer) =>
    Buffer.concat([sha256(application), Buffer.of(flags), uint32(counter), sha256(bytes)]);
  const tail = Buffer.concat([Buffer.of(flags), uint32(counter)]);
  if (kind === 'ed25519') {
    const type = 'sk-ssh-ed25519@openssh.com';
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const blob = Buffer.concat([sshString(type), sshString(rawEd25519(publicKey)), sshString(application)]);
    return testKey(type, blob, (bytes) =>
      Buffer.concat([sshString(type), sshString(sign(null, covered(bytes), privateKey)), tail]),
    );
  }
  const type = 'sk-ecdsa-sha2-nistp256@openssh.com';
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const point = rawPoint(publicKey);
  const blob = Buffer.concat([sshString(type), sshString('nistp256'), sshString(point), sshString(application)]);
  return testKey(type, blob, (bytes) => {
    const plain = sign('sha256', covered(bytes), { key: privateKey, dsaEncoding: 'ieee-p1363' });
    return Buffer.concat([sshString(type), sshString(curveNumbers(plain)), tail]);
  });
}

/** An RSA key of any length that signs with any hash. */
export function rsaKey(bits: number, algorithm: 'ssh-rsa' | 'rsa-sha2-256' | 'rsa-sha2-512'): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  const { e = '', n = '' } = publicKey.export({ format: 'jwk' });
  const blob = Buffer.concat([
    sshString('ssh-rsa'),
    mpint(Buffer.from(e, 'base64url')),
    mpint(Buffer.from(n, 'base64url')),
  ]);
  const hash = { 'ssh-rsa': 'sha1', 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }[algorithm];
  return testKey('ssh-rsa', blob, (bytes) =>
    Buffer.concat([sshString(algorithm), sshString(sign(hash, bytes, privateKey))]),
  );
}

export function dsaKey(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 });
  const spki = publicKey.export({ format: 'der', type: 'spki' });
  const blob = Buffer.concat([sshString('ssh-dss'), sshString(spki)]);
  return testKey('ssh-dss', blob, (bytes) =>
    Buffer.concat([
      sshString('ssh-dss'),
      sshString(sign('sha1', bytes, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
    ]),
  );
}

export function ed448Key(): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed448');
  const blob = Buffer.concat([sshString('ssh-ed448'), sshString(rawEd25519(publicKey))]);
  return testKey('ssh-ed448', blob, (bytes) =>
    Buffer.concat([sshString('ssh-ed448'), sshString(sign(null, bytes, privateKey))]),
  );
}

/** Every copy with one bit changed (a different one in each byte, so that all eight positions occur) and every truncation. */
export function* damaged(blob: Buffer): Generator<Buffer> {
  for (let at = 0; at < blob.length; at += 1) {
    const copy = Buffer.from(blob);
    copy[at] = (copy[at] ?? 0) ^ (1 << ((at * 5) % 8));
    yield copy;
  }
  for (let length = 0; length < blob.length; length += 1) yield blob.subarray(0, length);
}
