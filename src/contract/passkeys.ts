/** Passkeys: sign-in, the fresh proof before grave changes, and a user's own list of them. Ceremonies are those of WebAuthn level 2,
 *  with what the browser answers reduced to the fields that count. Binary values are base64url without padding. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { identitySchema } from './access.ts';
import { textSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf } from './define.ts';

export const passkeyErrors = defineErrors({
  passkey_refused: {
    status: 401,
    title: 'This passkey was not accepted',
    hint: 'Try again. If it stays so, sign in another way and add a new passkey under Settings.',
  },
  passkey_counter_back: {
    status: 401,
    title: 'This passkey may have been copied',
    hint: 'Its counter went back, which happens when two devices use one key. Sign in another way, delete it under Settings and add a new one.',
  },
  passkey_needs_name: {
    status: 409,
    title: 'Passkeys do not work at this address',
    hint: 'Open the dashboard by its host name, or add one to `publicNames` in the configuration.',
  },
});

const binary = (maxLength: number) =>
  z
    .string()
    .min(1)
    .max(maxLength)
    .regex(/^[A-Za-z0-9_-]+$/, 'use base64url without padding');

const ceremonyId = z.string().regex(/^[\w-]{43}$/, 'use the id that the challenge came with');

/** What the authenticator signed, for sign-in and for a fresh proof. */
export const assertionSchema = z.strictObject({
  ceremonyId,
  credentialId: binary(1400),
  clientDataJson: binary(8000),
  authenticatorData: binary(8000),
  signature: binary(4000),
  userHandle: binary(100).nullable(),
});
export type Assertion = z.infer<typeof assertionSchema>;

export const attestationSchema = z.strictObject({
  ceremonyId,
  name: textSchema(60).min(1).describe('how the user tells it from others, as "laptop"'),
  credentialId: binary(1400),
  clientDataJson: binary(8000),
  attestationObject: binary(40_000),
  transports: z.array(z.string().regex(/^[a-z-]{1,20}$/)).max(8),
});
export type Attestation = z.infer<typeof attestationSchema>;

const credentialSchema = z.object({ id: z.string(), transports: z.array(z.string()) });

export const assertionChallengeSchema = z.object({
  ceremonyId: z.string(),
  challenge: z.string(),
  rpId: z.string(),
  timeoutMs: z.int(),
  credentials: z.array(credentialSchema).describe('those that may answer; empty = any that the browser knows'),
});
export type AssertionChallenge = z.infer<typeof assertionChallengeSchema>;

export const attestationChallengeSchema = z.object({
  ceremonyId: z.string(),
  challenge: z.string(),
  rpId: z.string(),
  timeoutMs: z.int(),
  user: z.object({ handle: z.string(), name: z.string() }),
  algorithms: z.array(z.int()).describe('COSE numbers, the preferred one first'),
  credentials: z.array(credentialSchema).describe('those that the user has already'),
});
export type AttestationChallenge = z.infer<typeof attestationChallengeSchema>;

export const passkeySchema = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: timeSchema,
  lastUsedAt: timeSchema.nullable(),
  isSynced: z.boolean().describe('the device keeps a copy elsewhere, as in a cloud account'),
  suspectedAt: timeSchema.nullable().describe('when its counter went back; it is refused since'),
});
export type Passkey = z.infer<typeof passkeySchema>;

export const passkeyPlaceSchema = z.object({
  rpId: z.string().describe('the host name that passkeys are bound to'),
  openAt: z.string().describe('address at which they work'),
});
export type PasskeyPlace = z.infer<typeof passkeyPlaceSchema>;

export const passkeyRoutes = defineRoutes({
  'GET /auth/passkey': {
    summary: 'Where passkeys work',
    public: 'the sign-in page must say where passkeys work; it tells only our own name',
    response: passkeyPlaceSchema,
  },
  'POST /auth/passkey/challenge': {
    summary: 'Begin a sign-in by passkey',
    public: 'this is how one signs in',
    changesNothing: true,
    response: assertionChallengeSchema,
  },
  'POST /auth/passkey': {
    summary: 'Sign in by passkey',
    public: 'this is how one signs in',
    body: assertionSchema,
    response: identitySchema,
  },
  'POST /auth/step-up/passkey/challenge': {
    summary: 'Begin a fresh proof by passkey for one action',
    permission: 'self.manage',
    list: true,
    changesNothing: true,
    body: z.strictObject({ digest: z.string().regex(/^[0-9a-f]{64}$/, 'use the digest of the refusal') }),
    response: assertionChallengeSchema,
  },
  'POST /auth/step-up/passkey': {
    summary: 'Give a fresh proof by passkey',
    permission: 'self.manage',
    list: true,
    body: assertionSchema,
  },
  'GET /auth/passkeys': {
    summary: 'List my passkeys',
    permission: 'self.manage',
    list: true,
    response: pageOf(passkeySchema),
  },
  'POST /auth/passkeys/challenge': {
    summary: 'Begin adding a passkey',
    permission: 'self.manage',
    list: true,
    changesNothing: true,
    response: attestationChallengeSchema,
  },
  'POST /auth/passkeys': {
    summary: 'Add a passkey; a fresh sign-in may add the first one, further ones need a proof by what one has',
    permission: 'self.manage',
    list: true,
    stepUp: 'or_fresh_sign_in',
    body: attestationSchema,
    response: passkeySchema,
    status: 201,
  },
  'PATCH /auth/passkeys/{id}': {
    summary: 'Rename a passkey of mine',
    permission: 'self.manage',
    list: true,
    params: idParam('passkey id'),
    body: z.strictObject({ name: textSchema(60).min(1) }),
    response: passkeySchema,
  },
  'DELETE /auth/passkeys/{id}': {
    summary: 'Delete a passkey of mine',
    permission: 'self.manage',
    list: true,
    stepUp: 'or_fresh_sign_in',
    params: idParam('passkey id'),
  },
  'GET /users/{id}/passkeys': {
    summary: "List a user's passkeys",
    permission: 'access.read',
    params: idParam('id or name'),
    object: { type: 'user', param: 'id' },
    response: pageOf(passkeySchema),
  },
  'DELETE /users/{id}/passkeys': {
    summary: 'Delete all passkeys of a user, as of one who lost a device',
    permission: 'access.manage',
    stepUp: true,
    params: idParam('id or name'),
    object: { type: 'user', param: 'id' },
  },
});
