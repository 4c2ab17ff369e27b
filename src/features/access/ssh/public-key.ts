/** SSH public keys: which kinds may open this machine, and how a line of an authorized_keys file is read.
 *  Formats: RFC 4253 section 6.6 (rsa), RFC 5656 (ecdsa), RFC 8709 (ed25519), OpenSSH PROTOCOL.u2f (security keys). Pure. */

import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { SshReader, SshWireError } from '#kernel/ssh-wire.ts';

export const KEY_TYPES = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'ssh-rsa',
  'sk-ssh-ed25519@openssh.com',
  'sk-ecdsa-sha2-nistp256@openssh.com',
] as const;
export type KeyType = (typeof KEY_TYPES)[number];

const MIN_RSA_BITS = 2048;
/** Verifying with a longer one would take noticeable time. */
const MAX_RSA_BITS = 8192;
const MAX_LINE = 16_384;
const MAX_COMMENT = 200;

const CURVES = {
  nistp256: { name: 'P-256', bytes: 32 },
  nistp384: { name: 'P-384', bytes: 48 },
  nistp521: { name: 'P-521', bytes: 66 },
} as const;
export type CurveName = keyof typeof CURVES;

export interface SshPublicKey {
  readonly type: KeyType;
  /** The key as SSH writes it; two keys are the same when these bytes are. */
  readonly blob: Buffer;
  readonly key: KeyObject;
  /** Of elliptic curves: bytes of a coordinate; of RSA: bytes of the modulus; else 0. */
  readonly sizeBytes: number;
  /** What a security key was made for, as `ssh:`; null for other keys. */
  readonly application: string | null;
}

/** A key or line that is not taken; the message is a sentence for its owner. */
export class KeyRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'KeyRefused';
  }
}

export const isKeyType = (text: string): text is KeyType => KEY_TYPES.some((type) => type === text);

/** @throws KeyRefused */
export function parsePublicKey(blob: Uint8Array): SshPublicKey {
  try {
    return readKey(Buffer.from(blob));
  } catch (error) {
    if (error instanceof SshWireError) throw new KeyRefused(`This is not a whole public key: ${error.message}.`);
    throw error;
  }
}

function readKey(blob: Buffer): SshPublicKey {
  const reader = new SshReader(blob);
  const type = reader.text('the type of the key');
  if (!isKeyType(type)) throw new KeyRefused(whyRefused(type));
  const done = (jwk: JsonWebKey, sizeBytes: number, application: string | null): SshPublicKey => {
    reader.end('the key');
    return { type, blob, key: importKey(jwk), sizeBytes, application };
  };
  switch (type) {
    case 'ssh-ed25519':
      return done(readEd25519(reader), 0, null);
    case 'sk-ssh-ed25519@openssh.com': {
      const jwk = readEd25519(reader);
      return done(jwk, 0, readApplication(reader));
    }
    case 'sk-ecdsa-sha2-nistp256@openssh.com': {
      const jwk = readCurve(reader, 'nistp256');
      return done(jwk, CURVES.nistp256.bytes, readApplication(reader));
    }
    case 'ssh-rsa': {
      const { jwk, sizeBytes } = readRsa(reader);
      return done(jwk, sizeBytes, null);
    }
    case 'ecdsa-sha2-nistp256':
      return done(readCurve(reader, 'nistp256'), CURVES.nistp256.bytes, null);
    case 'ecdsa-sha2-nistp384':
      return done(readCurve(reader, 'nistp384'), CURVES.nistp384.bytes, null);
    case 'ecdsa-sha2-nistp521':
      return done(readCurve(reader, 'nistp521'), CURVES.nistp521.bytes, null);
  }
}

function importKey(jwk: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ format: 'jwk', key: jwk });
  } catch (error) {
    // A point that is not on its curve, for one.
    throw new KeyRefused(`The numbers of this key do not fit together (${error instanceof Error ? error.name : '?'}).`);
  }
}

function readEd25519(reader: SshReader): JsonWebKey {
  const point = reader.string('the point of the key');
  if (point.length !== 32) throw new KeyRefused('An Ed25519 key has 32 bytes.');
  return { kty: 'OKP', crv: 'Ed25519', x: point.toString('base64url') };
}

function readCurve(reader: SshReader, name: CurveName): JsonWebKey {
  const curve = CURVES[name];
  if (reader.text('the curve of the key') !== name) throw new KeyRefused('The key names another curve than its type.');
  const point = reader.string('the point of the key');
  if (point.length !== 1 + 2 * curve.bytes || point[0] !== 4)
    throw new KeyRefused('The point of the key is not in its plain, uncompressed form.');
  return {
    kty: 'EC',
    crv: curve.name,
    x: point.subarray(1, 1 + curve.bytes).toString('base64url'),
    y: point.subarray(1 + curve.bytes).toString('base64url'),
  };
}

function readRsa(reader: SshReader): { jwk: JsonWebKey; sizeBytes: number } {
  const exponent = reader.positive('the exponent of the key');
  const modulus = reader.positive('the modulus of the key');
  const bits = modulus.length * 8 - Math.clz32(modulus[0] ?? 0) + 24;
  if (bits < MIN_RSA_BITS)
    throw new KeyRefused(
      `RSA keys need ${MIN_RSA_BITS} bits or more; this one has ${bits}. Better: ssh-keygen -t ed25519`,
    );
  if (bits > MAX_RSA_BITS) throw new KeyRefused(`RSA keys have at most ${MAX_RSA_BITS} bits here.`);
  const isOdd = ((exponent.at(-1) ?? 0) & 1) === 1;
  if (exponent.length > 4 || !isOdd || (exponent.length === 1 && (exponent[0] ?? 0) < 3))
    throw new KeyRefused('The exponent of this RSA key is not a usual one.');
  const jwk = { kty: 'RSA', n: modulus.toString('base64url'), e: exponent.toString('base64url') };
  return { jwk, sizeBytes: modulus.length };
}

function readApplication(reader: SshReader): string {
  const application = reader.text('the application of the key');
  if (!application.startsWith('ssh:'))
    throw new KeyRefused(
      'This security key was made for another purpose than SSH: its application does not begin with "ssh:".',
    );
  return application;
}

/** Why a kind of key is not taken, with what to use instead. */
function whyRefused(type: string): string {
  const better = 'Make one with: ssh-keygen -t ed25519';
  if (type.includes('-cert-v0')) return 'This is a certificate. Give the public key itself.';
  if (type === 'ssh-dss') return `DSA keys are too weak. ${better}`;
  return `Keys of the type "${type.slice(0, 60)}" are not taken. ${better}`;
}

/** `SHA256:` and base64 without padding, as ssh-keygen prints it. */
export function fingerprintOf(blob: Uint8Array): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

export interface KeyLine {
  readonly key: SshPublicKey;
  readonly comment: string;
}

/** One line as in a `.pub` file: type, base64, comment.
 *  Lines with options (`from=`, `command=`, `cert-authority`) are refused: what restricts a key for sshd would not hold
 *  here, and leaving it out silently would make the key stronger than its owner meant it to be.
 *  @throws KeyRefused */
export function parseKeyLine(line: string): KeyLine {
  const text = line.trim();
  if (text.length > MAX_LINE) throw new KeyRefused('This is too long for a public key.');
  if (/PRIVATE KEY/.test(text))
    throw new KeyRefused('This is a private key. Give the public one; its file name ends in .pub.');
  if (/\p{Cc}/u.test(text.replaceAll('\t', ' ')))
    throw new KeyRefused('A public key is one line without control characters.');
  const [type = '', base64 = '', ...rest] = text.split(/[ \t]+/);
  if (!isKeyType(type)) {
    if (/^[a-z0-9@.-]+$/.test(type) && /^(ssh-|ecdsa-|sk-)/.test(type)) throw new KeyRefused(whyRefused(type));
    throw new KeyRefused(
      'A line begins with the type of the key, as ssh-ed25519. Options before it, as from= or command=, would not hold here, so they are refused.',
    );
  }
  const blob = Buffer.from(base64, 'base64');
  if (base64 === '' || blob.toString('base64') !== base64)
    throw new KeyRefused('The second word is not a whole key in base64.');
  const key = parsePublicKey(blob);
  if (key.type !== type) throw new KeyRefused('The line names another type than the key itself.');
  return { key, comment: rest.join(' ').slice(0, MAX_COMMENT) };
}
