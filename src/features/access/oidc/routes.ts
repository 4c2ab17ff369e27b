/** Sign-in through identity providers over HTTP, and whose accounts are whose. */

import type { IdentityView } from '#contract/access.ts';
import type { OidcIdentity, OidcProvider } from '#contract/oidc.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Handlers, Identity } from '#platform/feature.ts';
import type { Directory } from '../directory.ts';
import { userOf } from '../lookup.ts';
import type { OwnRights } from '../own-rights.ts';
import { sessionCookie } from '../routes.ts';
import type { Sessions } from '../sessions.ts';
import type { OidcSignIn } from './sign-in.ts';
import { type OidcIdentityRow, type OidcStore, plainIssuer } from './store.ts';

/** Binds a sign-in to the browser that began it. Strict: it comes with the request of our own page, not with the provider's redirect. */
const BINDING_COOKIE = '__Host-hyper-oidc';
const BINDING_SECONDS = 600;

export interface OidcRouteDependencies {
  readonly signIn: OidcSignIn;
  readonly store: OidcStore;
  readonly clock: Clock;
  readonly providers: readonly (OidcProvider & { readonly issuer: string })[];
  readonly sessions: Pick<Sessions, 'begin'>;
  readonly directory: Pick<Directory, 'snapshot'>;
  readonly ownRights: OwnRights;
  readonly describe: (who: Identity) => IdentityView;
}

const bindingCookie = (value: string, seconds: number): string =>
  `${BINDING_COOKIE}=${value}; Path=/; Max-Age=${seconds}; Secure; HttpOnly; SameSite=Strict`;

/** The browser's secret; null when it has none, or more than one. */
function bindingOf(cookies: string | undefined): string | null {
  const values = (cookies ?? '')
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${BINDING_COOKIE}=`));
  return values.length === 1 ? (values[0]?.slice(BINDING_COOKIE.length + 1) ?? null) : null;
}

export function createOidcRoutes({
  signIn,
  store,
  clock,
  providers,
  sessions,
  directory,
  ownRights,
  describe,
}: OidcRouteDependencies): Handlers {
  const view = (row: OidcIdentityRow): OidcIdentity => ({
    id: row.id,
    provider: providers.find(({ issuer }) => plainIssuer(issuer) === plainIssuer(row.issuer))?.id ?? null,
    issuer: row.issuer,
    subject: row.subject,
    userId: row.user_id,
    user: directory.snapshot().users.get(row.user_id)?.name ?? row.user_id,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  });

  return {
    'GET /auth/oidc': () => ({ items: providers.map(({ id, name }) => ({ id, name })) }),
    'POST /auth/oidc/{id}/start': async ({ params, identity, headers }) => {
      // The Host header is one of our names: the door has checked it.
      const redirectUri = `https://${headers['host'] ?? ''}/sign-in/oidc/${params.id}`;
      const { url, binding } = await signIn.start(params.id, redirectUri, identity.address ?? 'local');
      return { json: { url }, headers: { 'set-cookie': bindingCookie(binding, BINDING_SECONDS) } };
    },
    'POST /auth/oidc/finish': async ({ body, identity, headers, isBy }) => {
      const userId = await signIn.finish(body, bindingOf(headers['cookie']));
      const session = await sessions.begin(
        { userId, method: 'oidc' },
        { address: identity.address ?? 'local', userAgent: headers['user-agent'] ?? '' },
      );
      isBy(session.identity);
      const cookies = [sessionCookie(session)['set-cookie'], bindingCookie('', 0)];
      return { json: describe(session.identity), headers: { 'set-cookie': cookies } };
    },

    'GET /auth/oidc/identities': async () => {
      const items = (await store.list()).map(view);
      return { items, next: null, total: items.length };
    },
    'POST /auth/oidc/identities': async ({ body, identity }) => {
      const provider = providers.find(({ id }) => id === body.provider);
      if (!provider)
        throw new AppError('not_found', { detail: `There is no identity provider "${body.provider.slice(0, 40)}".` });
      const user = userOf(directory.snapshot(), body.user);
      // Whoever has the account is that user.
      ownRights.requireOver(identity, user.id);
      const row: OidcIdentityRow = {
        id: newId('oid', clock.now().getTime()),
        issuer: provider.issuer,
        subject: body.subject,
        user_id: user.id,
        created_at: clock.now().toISOString(),
        last_used_at: null,
      };
      if (!(await store.add(row)))
        throw new AppError('already_exists', {
          detail: 'This account has a user already.',
          hint: 'Take it from that user first.',
        });
      return view(row);
    },
    'DELETE /auth/oidc/identities/{id}': async ({ params, identity }) => {
      const row = (await store.list()).find(({ id }) => id === params.id);
      if (!row) throw new AppError('not_found', { detail: `There is no linked account "${params.id.slice(0, 80)}".` });
      ownRights.requireOver(identity, row.user_id);
      await store.remove(row.id);
    },
  };
}
