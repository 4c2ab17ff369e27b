/** Sign-in by link over HTTP: spend a link, make a link, see and end sessions. */

import type { IdentityView } from '#contract/access.ts';
import { PERMISSIONS } from '#contract/permissions.ts';
import type { FoundObject, Handlers, Identity, PublicAddress } from '#platform/feature.ts';
import type { Directory } from './directory.ts';
import { roleName, userOf } from './lookup.ts';
import type { OwnRights } from './own-rights.ts';
import { holdsAnywhere, type RightsTable, type TokenLimit } from './policy.ts';
import { grantsOf } from './rights.ts';
import type { NewSession, Sessions } from './sessions.ts';

/** `__Host-` makes browsers refuse the cookie without Secure, with a Domain or with another Path. */
export const SESSION_COOKIE = '__Host-hyper-session';

const cookie = (value: string, maxAgeSeconds: number): string =>
  `${SESSION_COOKIE}=${value}; Path=/; Max-Age=${maxAgeSeconds}; Secure; HttpOnly; SameSite=Strict`;

/** The header that hands a session's secret to the browser. */
export function sessionCookie({ secret, expiresAt }: Pick<NewSession, 'secret' | 'expiresAt'>): {
  'set-cookie': string;
} {
  return { 'set-cookie': cookie(secret, Math.floor((Date.parse(expiresAt) - Date.now()) / 1000)) };
}

export interface AuthRouteDependencies {
  readonly sessions: Sessions;
  readonly directory: Pick<Directory, 'snapshot'>;
  readonly ownRights: OwnRights;
  readonly address: PublicAddress;
  readonly describe: (who: Identity) => IdentityView;
}

export const sessionObject = (session: { id: string; userId: string; user: string }): FoundObject => ({
  type: 'session',
  id: session.id,
  name: session.user,
  project: null,
  owner: session.userId,
});

/** Says who somebody is and what he holds.
 *  @param projectName of a project's id */
export function describeIdentity(
  who: Identity,
  rights: RightsTable,
  token: TokenLimit | null,
  snapshot: ReturnType<Directory['snapshot']>,
  projectName: (id: string) => string,
): IdentityView {
  const held = PERMISSIONS.filter((permission) => holdsAnywhere(rights, token, permission));
  const ids = new Set(held.flatMap((permission) => [...(rights.get(permission)?.projects.keys() ?? [])]));
  return {
    userId: who.userId,
    user: who.user,
    via: who.via === 'system' ? 'admin_socket' : who.via,
    method: who.method,
    permissions: held.filter((permission) => permission === 'self.manage' || rights.get(permission)?.all != null),
    anywhere: held,
    projects: [...ids].map((id) => ({
      id,
      name: projectName(id),
      permissions: held.filter((permission) => {
        const reach = rights.get(permission);
        return reach?.all != null || reach?.projects.has(id) === true;
      }),
    })),
    roles: who.userId.startsWith('local:')
      ? [who.userId.slice('local:'.length)]
      : [...new Set(grantsOf(who.userId, snapshot).map(({ grant }) => roleName(snapshot, grant.role)))],
    sessionId: who.sessionId,
  };
}

export function createAuthRoutes({
  sessions,
  directory,
  ownRights,
  address,
  describe,
}: AuthRouteDependencies): Handlers {
  return {
    'POST /auth/link': async ({ body, identity, headers, isBy }) => {
      const session = await sessions.redeem(body.token, {
        address: identity.address ?? 'local',
        userAgent: headers['user-agent'] ?? '',
      });
      isBy(session.identity);
      return { json: describe(session.identity), headers: sessionCookie(session) };
    },
    'POST /auth/links': async ({ body, identity }) => {
      const user = userOf(directory.snapshot(), body.user);
      // Whoever has the link is that user.
      ownRights.requireOver(identity, user.id);
      const { token, expiresAt } = await sessions.createLink(user.id);
      const { origin, fingerprint } = address();
      // The token sits in the fragment: browsers never send it, so it reaches no log and no link preview spends it.
      return { url: `${origin}/sign-in#${token}`, expiresAt, fingerprint };
    },
    'GET /auth/session': ({ identity }) => describe(identity),
    'POST /auth/logout': async ({ identity }) => {
      if (identity.sessionId) await sessions.end(identity.sessionId);
      return { json: undefined, headers: { 'set-cookie': cookie('', 0) } };
    },
    'GET /auth/sessions': ({ identity, may }) => {
      const items = sessions
        .list(identity.sessionId)
        .filter((session) => session.userId === identity.userId || may('access.read', sessionObject(session)));
      return { items, next: null, total: items.length };
    },
    'DELETE /auth/sessions/{id}': async ({ params }) => {
      await sessions.end(params.id);
    },
  };
}
