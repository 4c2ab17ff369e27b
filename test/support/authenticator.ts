/** A passkey authenticator in software, which signs whatever a test tells it to, right or wrong (WebAuthn level 2, sections 6.1 and 6.5). */

import { createHash, generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import type { Assertion, AssertionChallenge, Attestation, AttestationChallenge } from '#contract/passkeys.ts';

/** What a wrong answer has in place of the right thing. */
export interface Twist {
  readonly origin?: string;
  readonly rpId?: string;
  readonly challenge?: string;
  readonly type?: string;
  readonly counter?: number;
  /** Bits of the flags to take away: 1 = user present, 4 = user verified. */
  readonly withoutFlags?: number;
  readonly userHandle?: string | null;
  readonly credentialId?: string;
  readonly crossOrigin?: boolean;
  /** Changes the signature's bytes. */
  readonly signature?: (bytes: Buffer) => Buffer;
  /** The statement about the make of the device. */
  readonly statement?: { readonly format: string; readonly value: CborValue };
}

export interface Authenticator {
  readonly credentialId: string;
  register(challenge: AttestationChallenge, name: string, twist?: Twist): Attestation;
  answer(challenge: AssertionChallenge, twist?: Twist): Assertion;
}

type CborValue = number | string | Buffer | readonly CborValue[] | ReadonlyMap<string | number, CborValue>;

const PRESENT = 1;
const VERIFIED = 4;
const HAS_KEY = 64;

const base64url = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64url');
const sha256 = (bytes: Uint8Array | string): Buffer => createHash('sha256').update(bytes).digest();

/** @param origin of the page that the browser shows */
export function createAuthenticator(origin: string): Authenticator {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const rawId = randomBytes(32);
  const credentialId = base64url(rawId);
  let counter = 0;
  let handle: string | null = null;

  const clientData = (type: string, challenge: string, twist: Twist): Buffer =>
    Buffer.from(
      JSON.stringify({
        type: twist.type ?? type,
        challenge: twist.challenge ?? challenge,
        origin: twist.origin ?? origin,
        crossOrigin: twist.crossOrigin ?? false,
        ...(twist.crossOrigin ? { topOrigin: 'https://evil.example' } : {}),
      }),
    );
  const authenticatorData = (rpId: string, flags: number, twist: Twist, rest: Buffer = Buffer.alloc(0)): Buffer => {
    const head = Buffer.alloc(5);
    head[0] = flags & ~(twist.withoutFlags ?? 0);
    head.writeUInt32BE(twist.counter ?? counter, 1);
    return Buffer.concat([sha256(twist.rpId ?? rpId), head, rest]);
  };
  const publicCose = (): Buffer => {
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' });
    return cbor(
      new Map<number, CborValue>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, Buffer.from(x, 'base64url')],
        [-3, Buffer.from(y, 'base64url')],
      ]),
    );
  };

  return {
    credentialId,
    register(challenge, name, twist = {}) {
      counter += 1;
      handle ??= challenge.user.handle;
      const length = Buffer.alloc(2);
      length.writeUInt16BE(rawId.length);
      const key = Buffer.concat([Buffer.alloc(16), length, rawId, publicCose()]);
      const data = authenticatorData(challenge.rpId, PRESENT | VERIFIED | HAS_KEY, twist, key);
      const { format, value } = twist.statement ?? { format: 'none', value: new Map() };
      const object = new Map<string, CborValue>([
        ['fmt', format],
        ['attStmt', value],
        ['authData', data],
      ]);
      return {
        ceremonyId: challenge.ceremonyId,
        name,
        credentialId: twist.credentialId ?? credentialId,
        clientDataJson: base64url(clientData('webauthn.create', challenge.challenge, twist)),
        attestationObject: base64url(cbor(object)),
        transports: ['internal'],
      };
    },
    answer(challenge, twist = {}) {
      counter += 1;
      const data = authenticatorData(challenge.rpId, PRESENT | VERIFIED, twist);
      const client = clientData('webauthn.get', challenge.challenge, twist);
      const signature = sign('sha256', Buffer.concat([data, sha256(client)]), privateKey);
      return {
        ceremonyId: challenge.ceremonyId,
        credentialId: twist.credentialId ?? credentialId,
        clientDataJson: base64url(client),
        authenticatorData: base64url(data),
        signature: base64url(twist.signature ? twist.signature(signature) : signature),
        userHandle: twist.userHandle === undefined ? handle : twist.userHandle,
      };
    },
  };
}

/** CBOR (RFC 8949) as far as authenticators need it. */
function cbor(value: CborValue): Buffer {
  if (typeof value === 'number') return value < 0 ? headOf(1, -1 - value) : headOf(0, value);
  if (typeof value === 'string') return Buffer.concat([headOf(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([headOf(2, value.length), value]);
  if (value instanceof Map)
    return Buffer.concat([
      headOf(5, value.size),
      ...[...value].flatMap(([key, each]: [string | number, CborValue]) => [cbor(key), cbor(each)]),
    ]);
  const list = value as readonly CborValue[];
  return Buffer.concat([headOf(4, list.length), ...list.map(cbor)]);
}

function headOf(major: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(major << 5) | length]);
  if (length < 256) return Buffer.from([(major << 5) | 24, length]);
  return Buffer.from([(major << 5) | 25, length >> 8, length & 255]);
}
