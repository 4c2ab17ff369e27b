/** Who may do what: sign-in, sessions, users, groups, roles, grants and tokens. */

import { z } from 'zod';
import { defineErrors } from '#kernel/errors.ts';
import { nameSchema, textSchema, timeSchema } from './common.ts';
import { defineRoutes, idParam, pageOf, pageQuery } from './define.ts';
import { PERMISSIONS } from './permissions.ts';

export const accessErrors = defineErrors({
  not_signed_in: {
    status: 401,
    title: 'You are not signed in',
    hint: 'Sign in with `hv login`, or get a one-time link on the machine with `./hv system link` and open it.',
  },
  forbidden: { status: 403, title: 'You may not do this', hint: 'Ask an administrator of this machine.' },
  step_up_required: {
    status: 403,
    title: 'This needs a fresh proof that it is you',
    hint: 'Confirm it with your passkey or SSH key, then send the same request again; on the machine itself, root needs none.',
  },
  link_refused: {
    status: 401,
    title: 'This sign-in link does not work (any more)',
    hint: 'Each link works once, for 5 minutes. Get a new one on the machine with `./hv system link`.',
  },
  sign_in_refused: {
    status: 401,
    title: 'That does not sign you in',
    hint: 'Check the user name and the key; an administrator sees which keys an account has.',
  },
  cross_site: {
    status: 403,
    title: 'The request came from another site',
    hint: 'Use the dashboard at its own address.',
  },
  wrong_host: {
    status: 421,
    title: 'This machine does not answer under that name',
    hint: 'Use the address that `./hv status` prints, or add the name to `publicNames` in the configuration.',
  },
  bad_request: { status: 400, title: 'The request is malformed', hint: 'Send one well-formed HTTP request.' },
  unsupported_media_type: {
    status: 415,
    title: 'The body has the wrong content type',
    hint: 'Send JSON as `application/json`.',
  },
  too_many_requests: { status: 429, title: 'Too many attempts', hint: 'Wait a minute and try again.' },
  too_many_sessions: {
    status: 429,
    title: 'This user has too many sessions',
    hint: 'Sign out elsewhere, or have some ended: `hv session list`, `hv session end ID`. Unused ones end by themselves.',
  },
  too_many_open: {
    status: 429,
    title: 'This user has too many streams and consoles open',
    hint: 'Close pages, consoles and programs that listen for events, or end sessions: `hv session list`.',
  },
  beyond_own_rights: {
    status: 403,
    title: 'Nobody can give more than he holds',
    hint: 'Grant a smaller role or a smaller scope, or ask someone who holds these rights.',
  },
  last_administrator: {
    status: 409,
    title: 'This would leave nobody who can manage access',
    hint: 'Give another user the role admin on the whole system first.',
  },
  built_in: {
    status: 409,
    title: 'This is part of the program and cannot be changed',
    hint: 'Make one of your own instead.',
  },
  token_cannot: {
    status: 403,
    title: 'A token cannot do this',
    hint: 'Sign in as a person: tokens make no tokens, keys or proofs.',
  },
  still_granted: {
    status: 409,
    title: 'The role is still granted',
    hint: 'Take those grants away first: `hv grant list --role NAME`.',
  },
});

const permissionSchema = z.enum(PERMISSIONS);

/** `all`, `project:<id>` or `vm:<uuid>`. */
export const scopeSchema = z
  .string()
  .regex(/^(all|project:[a-z0-9][a-z0-9-]{0,62}|vm:[0-9a-f-]{36})$/, 'use all, project:ID or vm:UUID')
  .describe('all, project:ID or vm:UUID');

export const signInMethodSchema = z.enum(['socket', 'link', 'ssh_key', 'passkey', 'oidc', 'token', 'system']);
export type SignInMethod = z.infer<typeof signInMethodSchema>;

export const identitySchema = z.object({
  userId: z.string(),
  user: z.string(),
  via: z.enum(['admin_socket', 'operator_socket', 'session', 'token']),
  method: signInMethodSchema,
  permissions: z.array(permissionSchema).describe('held on the whole system'),
  anywhere: z.array(permissionSchema).describe('held on the whole system, a project or a VM'),
  projects: z.array(z.object({ id: z.string(), name: z.string(), permissions: z.array(permissionSchema) })),
  roles: z.array(z.string()).describe('names of all roles held anywhere'),
  sessionId: z.string().nullable(),
});
export type IdentityView = z.infer<typeof identitySchema>;

export const sessionSchema = z.object({
  id: z.string(),
  user: z.string(),
  userId: z.string(),
  method: signInMethodSchema,
  state: z.literal('active'),
  createdAt: timeSchema,
  lastSeenAt: timeSchema,
  expiresAt: timeSchema,
  idleMinutes: z.int().describe('ends after so long without a request'),
  address: z.string(),
  userAgent: z.string(),
  isCurrent: z.boolean(),
});
export type Session = z.infer<typeof sessionSchema>;

export const userSchema = z.object({
  id: z.string(),
  name: z.string(),
  title: z.string().nullable().describe('full name'),
  state: z.enum(['active', 'disabled']),
  source: z.string().describe('local, or oidc:ID of the identity provider that made it'),
  idleMinutes: z.int().nullable().describe('own idle limit of sessions; null = 15, or 480 for those who only read'),
  groups: z.array(z.object({ id: z.string(), name: z.string() })),
  roles: z.array(z.string()),
  createdAt: timeSchema,
  lastSignInAt: timeSchema.nullable(),
});
export type User = z.infer<typeof userSchema>;

export const groupSchema = z.object({
  id: z.string(),
  name: z.string(),
  title: z.string().nullable(),
  state: z.literal('active'),
  members: z.array(z.object({ id: z.string(), name: z.string() })),
});
export type Group = z.infer<typeof groupSchema>;

export const roleSchema = z.object({
  id: z.string().describe('the name of a built-in role, else an id'),
  name: z.string(),
  title: z.string(),
  state: z.enum(['built_in', 'custom']),
  permissions: z.array(permissionSchema),
  grants: z.int().describe('how often it is granted'),
});
export type Role = z.infer<typeof roleSchema>;

export const grantSchema = z.object({
  id: z.string(),
  name: z.string().describe('in words: alice: vm-operator on project shop'),
  state: z.literal('active'),
  subject: z.object({ type: z.enum(['user', 'group']), id: z.string(), name: z.string() }),
  role: z.string(),
  scope: scopeSchema,
  scopeName: z.string(),
  source: z.string().describe('local, or what made it: oidc:ID'),
  createdAt: timeSchema,
  createdBy: z.string(),
});
export type Grant = z.infer<typeof grantSchema>;

export const tokenSchema = z.object({
  id: z.string(),
  name: z.string(),
  user: z.string(),
  userId: z.string(),
  state: z.enum(['active', 'expired']),
  permissions: z.array(permissionSchema),
  scope: scopeSchema,
  createdAt: timeSchema,
  expiresAt: timeSchema,
  lastUsedAt: timeSchema.nullable(),
});
export type Token = z.infer<typeof tokenSchema>;

/** What a user may do and why. */
export const rightsSchema = z.object({
  user: z.string(),
  grants: z.array(
    z.object({
      id: z.string(),
      role: z.string(),
      scope: scopeSchema,
      scopeName: z.string(),
      through: z.string().nullable().describe('the group that brings it'),
      permissions: z.array(permissionSchema),
    }),
  ),
  answer: z
    .object({
      permission: permissionSchema,
      object: z.string(),
      allow: z.boolean(),
      visible: z.boolean(),
      because: z.string(),
    })
    .nullable()
    .describe('when a permission was asked for'),
});

const userParams = { params: idParam('id or name'), object: { type: 'user', param: 'id' } } as const;
const groupParams = { params: idParam('id or name'), object: { type: 'group', param: 'id' } } as const;
const roleParams = { params: idParam('id or name'), object: { type: 'role', param: 'id' } } as const;

export const authRoutes = defineRoutes({
  'POST /auth/link': {
    summary: 'Spend a one-time link and get a session cookie',
    public: 'this is how one signs in',
    body: z.strictObject({ token: z.string().min(20).max(100) }),
    response: identitySchema,
  },
  'POST /auth/links': {
    summary: 'Make a one-time sign-in link for a user',
    permission: 'access.manage',
    stepUp: true,
    answersSecret: true,
    body: z.strictObject({ user: nameSchema.default('admin') }).default({ user: 'admin' }),
    response: z.object({
      url: z.string(),
      expiresAt: timeSchema,
      fingerprint: z.string().describe('SHA-256 of the certificate'),
    }),
    status: 201,
  },
  'GET /auth/session': { summary: 'Who I am', permission: 'self.manage', list: true, response: identitySchema },
  'POST /auth/logout': { summary: 'End my session', permission: 'self.manage', list: true },
  'GET /auth/sessions': {
    summary: 'List my sessions; all of them for those who see access',
    permission: 'self.manage',
    list: true,
    response: pageOf(sessionSchema),
  },
  'DELETE /auth/sessions/{id}': {
    summary: 'End a session',
    permission: 'self.manage',
    params: idParam('session id'),
    object: { type: 'session', param: 'id' },
  },
});

export const accessRoutes = defineRoutes({
  'GET /users': {
    summary: 'List users',
    permission: 'access.read',
    list: true,
    query: z.object({ ...pageQuery, q: z.string().max(200).optional() }),
    response: pageOf(userSchema),
  },
  'POST /users': {
    summary: 'Make a user; it may do nothing until a role is granted',
    permission: 'access.manage',
    stepUp: true,
    body: z.strictObject({
      name: nameSchema,
      title: textSchema(120).optional(),
      idleMinutes: z.int().min(1).max(720).optional(),
    }),
    response: userSchema,
    status: 201,
  },
  'GET /users/{id}': { summary: 'Show a user', permission: 'access.read', ...userParams, response: userSchema },
  'PATCH /users/{id}': {
    summary: 'Rename, disable or enable a user, or set its idle limit',
    permission: 'access.manage',
    stepUp: true,
    ...userParams,
    body: z.strictObject({
      name: nameSchema.optional(),
      title: textSchema(120).nullable().optional(),
      state: z.enum(['active', 'disabled']).optional(),
      idleMinutes: z.int().min(1).max(720).nullable().optional(),
    }),
    response: userSchema,
  },
  'DELETE /users/{id}': {
    summary: 'Delete a user with its keys, tokens, sessions and grants',
    permission: 'access.manage',
    stepUp: true,
    ...userParams,
  },
  'GET /users/{id}/rights': {
    summary: 'What a user may do, and why',
    permission: 'access.read',
    ...userParams,
    query: z.object({
      permission: permissionSchema.optional(),
      vm: z.string().max(256).optional().describe('UUID or name'),
      project: z.string().max(64).optional().describe('id or name'),
    }),
    response: rightsSchema,
  },
  'GET /groups': {
    summary: 'List groups',
    permission: 'access.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(groupSchema),
  },
  'POST /groups': {
    summary: 'Make a group',
    permission: 'access.manage',
    stepUp: true,
    body: z.strictObject({ name: nameSchema, title: textSchema(120).optional() }),
    response: groupSchema,
    status: 201,
  },
  'GET /groups/{id}': { summary: 'Show a group', permission: 'access.read', ...groupParams, response: groupSchema },
  'PATCH /groups/{id}': {
    summary: 'Rename a group or set its members',
    permission: 'access.manage',
    stepUp: true,
    ...groupParams,
    body: z.strictObject({
      name: nameSchema.optional(),
      title: textSchema(120).nullable().optional(),
      members: z
        .array(z.string().max(64))
        .max(10_000)
        .optional()
        .describe('ids or names of users; replaces the whole list'),
      add: z.array(z.string().max(64)).max(10_000).optional().describe('ids or names of users who join'),
      remove: z.array(z.string().max(64)).max(10_000).optional().describe('ids or names of users who leave'),
    }),
    response: groupSchema,
  },
  'DELETE /groups/{id}': {
    summary: 'Delete a group with its grants',
    permission: 'access.manage',
    stepUp: true,
    ...groupParams,
  },
  'GET /roles': {
    summary: 'List roles',
    permission: 'access.read',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(roleSchema),
  },
  'POST /roles': {
    summary: 'Make a role of one’s own',
    permission: 'access.manage',
    stepUp: true,
    body: z.strictObject({
      name: nameSchema,
      title: textSchema(120).optional(),
      permissions: z.array(permissionSchema).min(1).max(PERMISSIONS.length),
    }),
    response: roleSchema,
    status: 201,
  },
  'GET /roles/{id}': {
    summary: 'Show a role',
    permission: 'access.read',
    list: true,
    params: idParam('id or name'),
    response: roleSchema,
  },
  'PATCH /roles/{id}': {
    summary: 'Change a role of one’s own',
    permission: 'access.manage',
    stepUp: true,
    ...roleParams,
    body: z.strictObject({
      name: nameSchema.optional(),
      title: textSchema(120).optional(),
      permissions: z.array(permissionSchema).min(1).max(PERMISSIONS.length).optional(),
    }),
    response: roleSchema,
  },
  'DELETE /roles/{id}': {
    summary: 'Delete a role that is granted to nobody',
    permission: 'access.manage',
    stepUp: true,
    ...roleParams,
  },
  'GET /grants': {
    summary: 'List grants',
    permission: 'access.read',
    list: true,
    query: z.object({
      ...pageQuery,
      user: z.string().max(64).optional().describe('id or name'),
      group: z.string().max(64).optional().describe('id or name'),
      role: z.string().max(64).optional(),
      scope: scopeSchema.optional(),
    }),
    response: pageOf(grantSchema),
  },
  'POST /grants': {
    summary: 'Give a role to a user or group on the whole system, a project or a VM',
    permission: 'access.manage',
    list: true,
    stepUp: true,
    body: z.strictObject({
      user: z.string().max(64).optional().describe('id or name'),
      group: z.string().max(64).optional().describe('id or name'),
      role: z.string().max(64),
      scope: scopeSchema,
    }),
    response: grantSchema,
    status: 201,
  },
  'DELETE /grants/{id}': {
    summary: 'Take a grant away',
    permission: 'access.manage',
    stepUp: true,
    params: idParam('grant id'),
    object: { type: 'grant', param: 'id' },
  },
  'GET /tokens': {
    summary: 'List my API tokens; all of them for those who see access',
    permission: 'self.manage',
    list: true,
    query: z.object(pageQuery),
    response: pageOf(tokenSchema),
  },
  'POST /tokens': {
    summary: 'Make an API token; its secret is shown once',
    permission: 'self.manage',
    list: true,
    stepUp: true,
    answersSecret: true,
    body: z.strictObject({
      name: nameSchema,
      permissions: z.array(permissionSchema).min(1).max(PERMISSIONS.length),
      scope: scopeSchema.default('all').describe('all = wherever its owner may'),
      days: z.int().min(1).max(366).describe('how long it lives'),
      user: z.string().max(64).optional().describe('id or name; for somebody else only root on the machine makes one'),
    }),
    response: tokenSchema.extend({ secret: z.string().describe('hyp_ID_SECRET, for `Authorization: Bearer`') }),
    status: 201,
  },
  'DELETE /tokens/{id}': {
    summary: 'Revoke a token',
    permission: 'self.manage',
    params: idParam('token id'),
    object: { type: 'token', param: 'id' },
  },
});
