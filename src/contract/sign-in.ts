/** Sign-in by SSH key: challenges, the code that lets a browser in, fresh proofs, and the keys themselves. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { identitySchema } from './access.ts';
import { timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf } from './define.ts';

export const signInErrors = defineErrors({
  signature_refused: {
    status: 401,
    title: 'The signature does not open this machine',
    hint: 'Sign in with a key that is registered for this user, and sign the newest challenge: each works once and for a minute.',
  },
  proof_not_asked: {
    status: 409,
    title: 'Nothing of this session waits for that proof',
    hint: 'Send the request first; its refusal holds the digest to prove.',
  },
  console_only: {
    status: 403,
    title: 'Only root on the machine itself may confirm without a signature',
    hint: 'Confirm it with your key: `hv login --web CODE`.',
  },
  device_refused: {
    status: 401,
    title: 'This code does not work (any more)',
    hint: 'A code works once, for 5 minutes, and ends after five wrong tries. Start again in the browser.',
  },
  key_refused: {
    status: 422,
    title: 'This key cannot be used here',
    hint: 'Give one line as in ~/.ssh/id_ed25519.pub: Ed25519, ECDSA, RSA from 2048 bits on, or a security key.',
  },
  key_is_configured: {
    status: 409,
    title: 'This key comes from the configuration',
    hint: 'Remove it there, in `access.authorizedKeys`, and restart hyperd.',
  },
});

const userName = z.string().min(1).max(64).describe('name of the user');
const deviceSecret = z.string().min(20).max(100).describe('as the start of the flow answered it');
const nonce = z.string().min(20).max(100).describe('as the challenge holds it');
const signature = z.string().min(1).max(32_000).describe('armoured, as `ssh-keygen -Y sign` prints it');
const by = z
  .enum(['program', 'person'])
  .default('program')
  .describe('who signs: a program has one minute, a person who copies and pastes has five');
const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .describe('of the request, as the refusal said');

/** What has to be signed. `text` is JSON; sign exactly its bytes, in the namespace `login@hyper-nixos`. */
export const challengeSchema = z.object({
  text: z.string().describe('the bytes to sign, as UTF-8'),
  nonce: z.string(),
  expiresAt: timeSchema,
});
export type ChallengeView = z.infer<typeof challengeSchema>;

/** The parsed `text` of a challenge, for clients that check it before they sign. */
export interface ChallengeText {
  readonly v: 1;
  readonly purpose: 'login' | 'device' | 'step-up';
  /** Must be the address that the client dialled. */
  readonly aud: string;
  /** Must be the SHA-256 fingerprint of the certificate that it saw there. */
  readonly fp: string;
  readonly user: string;
  readonly nonce: string;
  readonly iat: number;
  readonly exp: number;
  readonly code?: string;
  readonly digest?: string;
}

export const deviceSchema = z.object({
  deviceSecret: z.string().describe('stays in the browser; the answer is fetched with it'),
  userCode: z.string().describe('as BCD-FGH; to be typed by whoever confirms'),
  command: z.string().describe('what to type in a terminal'),
  expiresAt: timeSchema,
  intervalSeconds: z.int().describe('how often to ask'),
});
export type DeviceView = z.infer<typeof deviceSchema>;

export const deviceLookSchema = z.object({
  host: z.string().describe('of this machine'),
  purpose: z.enum(['login', 'step-up']),
  user: z.string().nullable().describe('of a step-up: whose session it is'),
  action: z.string().nullable().describe('of a step-up: the request that is to be done'),
  address: z.string().describe('of the browser that asks'),
  userAgent: z.string(),
  yourAddress: z.string().nullable().describe('of whoever looks; null on the machine itself'),
  expiresAt: timeSchema,
});
export type DeviceLook = z.infer<typeof deviceLookSchema>;

export const sshKeySchema = z.object({
  id: z.string(),
  user: z.string(),
  userId: z.string(),
  type: z.string().describe('as ssh-ed25519'),
  state: z.literal('active'),
  fingerprint: z.string().describe('SHA256:…, as ssh-keygen -l prints it'),
  comment: z.string(),
  source: z.enum(['local', 'config']).describe('config = from the configuration file; cannot be removed here'),
  createdAt: timeSchema.nullable().describe('null for keys of the configuration'),
  lastUsedAt: timeSchema.nullable(),
});
export type SshKey = z.infer<typeof sshKeySchema>;

const userParams = { params: idParam('id or name'), object: { type: 'user', param: 'id' } } as const;
const newKeySchema = z.strictObject({
  key: z.string().min(1).max(20_000).describe('one line as in a .pub file, without options'),
});

export const signInRoutes = defineRoutes({
  'POST /auth/challenge': {
    summary: 'Get the bytes that an SSH key has to sign',
    public: 'this is how one signs in; the answer is the same for users that do not exist',
    body: z.strictObject({
      user: userName,
      by,
      code: z.string().max(20).optional().describe('of a browser to let in'),
    }),
    response: challengeSchema,
    changesNothing: true,
  },
  'POST /auth/ssh': {
    summary: 'Sign in with a signed challenge and get a session cookie',
    public: 'this is how one signs in',
    body: z.strictObject({ nonce, signature }),
    response: identitySchema,
  },
  'POST /auth/device': {
    summary: 'Start letting this browser in from elsewhere',
    public: 'this is how one signs in',
    body: z.strictObject({}).default({}),
    response: deviceSchema,
    changesNothing: true,
  },
  'POST /auth/device/poll': {
    summary: 'Ask whether the code was confirmed',
    public: 'this is how one signs in; needs the secret of the flow',
    body: z.strictObject({ deviceSecret }),
    response: z.object({ state: z.enum(['pending', 'confirmed']) }),
    changesNothing: true,
  },
  'POST /auth/device/claim': {
    summary: 'Take what a confirmed code brings: a session, or the proof for the session that asked',
    public: 'this is how one signs in; needs the secret of the flow',
    body: z.strictObject({ deviceSecret }),
    response: identitySchema.nullable().describe('who is signed in now; null after a proof'),
  },
  'POST /auth/device/look': {
    summary: 'See who asks to be let in',
    public: 'whoever confirms is not signed in yet; needs the code, and wrong codes are slowed',
    body: z.strictObject({ code: z.string().max(20) }),
    response: deviceLookSchema,
    changesNothing: true,
  },
  'POST /auth/device/approve': {
    summary: 'Let a browser in with a signed challenge that holds its code',
    public: 'this is how one signs in',
    body: z.strictObject({ nonce, signature }),
    response: z.object({ user: z.string(), purpose: z.enum(['login', 'step-up']) }),
  },
  'POST /auth/device/confirm': {
    summary: 'Let a browser in from the console of the machine',
    permission: 'self.manage',
    list: true,
    body: z.strictObject({
      code: z.string().max(20),
      user: userName.optional().describe('who it is signed in as; admin unless said'),
    }),
    response: z.object({ user: z.string(), purpose: z.enum(['login', 'step-up']) }),
  },
  'POST /auth/step-up/device': {
    summary: 'Start proving from elsewhere that the owner of this session is there',
    permission: 'self.manage',
    list: true,
    body: z.strictObject({ digest }),
    response: deviceSchema,
    changesNothing: true,
  },
  'POST /auth/step-up/challenge': {
    summary: 'Get the bytes to sign for one request that needs a fresh proof',
    permission: 'self.manage',
    list: true,
    body: z.strictObject({ digest, by }),
    response: challengeSchema,
    changesNothing: true,
  },
  'POST /auth/step-up/ssh': {
    summary: 'Prove by a signed challenge that the owner of this session is there',
    permission: 'self.manage',
    list: true,
    body: z.strictObject({ nonce, signature }),
  },
  'GET /keys': {
    summary: 'List my SSH keys',
    permission: 'self.manage',
    list: true,
    response: pageOf(sshKeySchema),
  },
  'POST /keys': {
    summary: 'Add an SSH key of mine',
    permission: 'self.manage',
    list: true,
    stepUp: 'or_fresh_sign_in',
    body: newKeySchema,
    response: sshKeySchema,
    status: 201,
  },
  'DELETE /keys/{id}': {
    summary: 'Remove an SSH key of mine or of somebody whose access I manage',
    permission: 'self.manage',
    stepUp: true,
    params: idParam('key id'),
    object: { type: 'key', param: 'id' },
  },
  'GET /users/{id}/keys': {
    summary: 'List the SSH keys of a user',
    permission: 'access.read',
    ...userParams,
    response: pageOf(sshKeySchema),
  },
  'POST /users/{id}/keys': {
    summary: 'Add an SSH key of a user',
    permission: 'access.manage',
    stepUp: true,
    ...userParams,
    body: newKeySchema,
    response: sshKeySchema,
    status: 201,
  },
});
