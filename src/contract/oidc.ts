/** Sign-in through an identity provider (OpenID Connect), and which of its accounts belong to which user. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { identitySchema } from './access.ts';
import { timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf } from './define.ts';

export const oidcErrors = defineErrors({
  oidc_refused: {
    status: 401,
    title: 'The sign-in through the identity provider was not accepted',
    hint: 'Begin again on the sign-in page, in the same browser, and finish within ten minutes.',
  },
  oidc_no_account: {
    status: 403,
    title: 'There is no user for this account',
    hint: 'Ask an administrator to link the account to a user, or to put it into a group that has access.',
  },
  oidc_unavailable: {
    status: 503,
    title: 'The identity provider cannot be used now',
    hint: 'Try again in a moment, or sign in another way. An administrator finds the reason in the log of hyperd.',
  },
});

export const oidcProviderSchema = z.object({ id: z.string(), name: z.string() });
export type OidcProvider = z.infer<typeof oidcProviderSchema>;

export const oidcIdentitySchema = z.object({
  id: z.string(),
  provider: z.string().nullable().describe('id in the configuration; null when it is there no more'),
  issuer: z.string(),
  subject: z.string().describe('how the provider names the account; never an e-mail address that could change hands'),
  userId: z.string(),
  user: z.string(),
  createdAt: timeSchema,
  lastUsedAt: timeSchema.nullable(),
});
export type OidcIdentity = z.infer<typeof oidcIdentitySchema>;

export const oidcRoutes = defineRoutes({
  'GET /auth/oidc': {
    summary: 'Identity providers that one can sign in with',
    public: 'the sign-in page shows a button for each; it tells their names only',
    response: z.object({ items: z.array(oidcProviderSchema) }),
  },
  'POST /auth/oidc/{id}/start': {
    summary: 'Begin a sign-in: the address to send the browser to',
    public: 'this is how one signs in',
    changesNothing: true,
    params: idParam('provider id'),
    response: z.object({ url: z.string() }),
  },
  'POST /auth/oidc/finish': {
    summary: "End a sign-in with the provider's answer",
    public: 'this is how one signs in',
    body: z.strictObject({
      provider: z.string().min(1).max(40).describe('whose answer it is, as the address of the page says'),
      state: z.string().min(1).max(200),
      code: z.string().min(1).max(4096).optional(),
      iss: z.string().min(1).max(1000).optional(),
      error: z.string().min(1).max(200).optional(),
    }),
    response: identitySchema,
  },
  'GET /auth/oidc/identities': {
    summary: 'List accounts of identity providers and their users',
    permission: 'access.read',
    response: pageOf(oidcIdentitySchema),
  },
  'POST /auth/oidc/identities': {
    summary: 'Link an account of an identity provider to a user',
    permission: 'access.manage',
    stepUp: true,
    body: z.strictObject({
      provider: z.string().min(1).max(40).describe('id in the configuration'),
      subject: z.string().min(1).max(255).describe('the `sub` of the account'),
      user: z.string().min(1).max(64).describe('id or name'),
    }),
    response: oidcIdentitySchema,
    status: 201,
  },
  'DELETE /auth/oidc/identities/{id}': {
    summary: 'Take an account of an identity provider from its user',
    permission: 'access.manage',
    stepUp: true,
    params: idParam('link id'),
  },
});
