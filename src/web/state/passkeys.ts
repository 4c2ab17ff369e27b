/** Passkeys in the browser: its ceremonies between our API and `navigator.credentials`, and where they can work at all. */

import type { IdentityView } from '#contract/access.ts';
import type { Assertion, AssertionChallenge, Passkey } from '#contract/passkeys.ts';
import { text } from '../text.ts';
import { api } from './api.ts';
import { createResource } from './collection.ts';

export const passkeyPlace = createResource(() => api('GET /auth/passkey'));
export const passkeys = createResource(async () => (await api('GET /auth/passkeys')).items);

/** Why passkeys cannot be used in this window; null when they can. */
export type PasskeyObstacle = 'browser' | 'address';

/** @param rpId the host name that passkeys of this machine are bound to */
export function passkeyObstacle(rpId: string): PasskeyObstacle | null {
  const { hostname } = window.location;
  if (hostname !== rpId && !hostname.endsWith(`.${rpId}`)) return 'address';
  return 'PublicKeyCredential' in window ? null : 'browser';
}

/** Whether a fresh proof by passkey can be given in this window. Without an answer: no, the other ways need none. */
export async function hasUsablePasskey(): Promise<boolean> {
  await Promise.all([passkeyPlace.reload(), passkeys.reload()]);
  const place = passkeyPlace.data.peek();
  if (place === null || passkeyObstacle(place.rpId) !== null) return false;
  return passkeys.data.peek()?.some(({ suspectedAt }) => suspectedAt === null) ?? false;
}

/** The user closed the browser's window, or no device answered in time; nothing was asked of the server. */
export class PasskeyDismissed extends Error {
  constructor(cause: unknown) {
    super(text.passkeys.dismissed, { cause });
    this.name = 'PasskeyDismissed';
  }
}

function bytesOf(value: string): Uint8Array<ArrayBuffer> {
  const binary = atob(value.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

function textOf(buffer: ArrayBuffer): string {
  const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join('');
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

const TRANSPORTS: readonly string[] = ['usb', 'nfc', 'ble', 'internal', 'hybrid', 'smart-card'];
const isTransport = (name: string): name is AuthenticatorTransport => TRANSPORTS.includes(name);

const descriptorOf = ({ id, transports }: { readonly id: string; readonly transports: readonly string[] }) => ({
  type: 'public-key' as const,
  id: bytesOf(id),
  transports: transports.filter(isTransport),
});

/** @throws PasskeyDismissed */
async function ask<Response extends AuthenticatorResponse>(
  work: Promise<Credential | null>,
  isExpected: (response: AuthenticatorResponse) => response is Response,
): Promise<{ readonly id: string; readonly response: Response }> {
  let credential: Credential | null;
  try {
    credential = await work;
  } catch (error) {
    // InvalidStateError: this device holds a passkey for here already.
    if (error instanceof DOMException && error.name === 'InvalidStateError') throw new Error(text.passkeys.isThere);
    throw new PasskeyDismissed(error);
  }
  if (credential instanceof PublicKeyCredential && isExpected(credential.response))
    return { id: credential.id, response: credential.response };
  throw new PasskeyDismissed(credential);
}

async function assertionFor(challenge: AssertionChallenge): Promise<Assertion> {
  const { id, response } = await ask(
    navigator.credentials.get({
      publicKey: {
        challenge: bytesOf(challenge.challenge),
        rpId: challenge.rpId,
        timeout: challenge.timeoutMs,
        userVerification: 'required',
        allowCredentials: challenge.credentials.map(descriptorOf),
      },
    }),
    (found) => found instanceof AuthenticatorAssertionResponse,
  );
  return {
    ceremonyId: challenge.ceremonyId,
    credentialId: id,
    clientDataJson: textOf(response.clientDataJSON),
    authenticatorData: textOf(response.authenticatorData),
    signature: textOf(response.signature),
    userHandle: response.userHandle === null ? null : textOf(response.userHandle),
  };
}

/** Signs in. @throws PasskeyDismissed, ApiProblem */
export async function signInByPasskey(): Promise<IdentityView> {
  const assertion = await assertionFor(await api('POST /auth/passkey/challenge'));
  return api('POST /auth/passkey', { body: assertion });
}

/** Proves freshly who acts, for the one request that this digest is of. @throws PasskeyDismissed, ApiProblem */
export async function proveByPasskey(digest: string): Promise<void> {
  const assertion = await assertionFor(await api('POST /auth/step-up/passkey/challenge', { body: { digest } }));
  await api('POST /auth/step-up/passkey', { body: assertion });
}

/** Makes a passkey for the signed-in user. @throws PasskeyDismissed, ApiProblem */
export async function addPasskey(name: string): Promise<Passkey> {
  const challenge = await api('POST /auth/passkeys/challenge');
  const { id, response } = await ask(
    navigator.credentials.create({
      publicKey: {
        challenge: bytesOf(challenge.challenge),
        rp: { id: challenge.rpId, name: text.product },
        user: {
          id: bytesOf(challenge.user.handle),
          name: challenge.user.name,
          displayName: challenge.user.name,
        },
        pubKeyCredParams: challenge.algorithms.map((alg) => ({ type: 'public-key' as const, alg })),
        timeout: challenge.timeoutMs,
        excludeCredentials: challenge.credentials.map(descriptorOf),
        authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
        attestation: 'none',
      },
    }),
    (found) => found instanceof AuthenticatorAttestationResponse,
  );
  const body = {
    ceremonyId: challenge.ceremonyId,
    name,
    credentialId: id,
    clientDataJson: textOf(response.clientDataJSON),
    attestationObject: textOf(response.attestationObject),
    transports: response.getTransports().filter(isTransport),
  };
  return api('POST /auth/passkeys', { body });
}

/** @throws PasskeyDismissed, ApiProblem */
export async function deletePasskey(id: string): Promise<void> {
  await api('DELETE /auth/passkeys/{id}', { params: { id } });
}
