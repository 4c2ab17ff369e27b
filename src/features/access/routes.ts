/** Sign-in over HTTP: spend a link, make a link, see and end sessions. */

import type { IdentityView } from '#contract/system.ts';
import type { Handlers, Identity, PublicAddress } from '#platform/feature.ts';
import { permissionsOf } from './policy.ts';
import type { Sessions } from './sessions.ts';

/** `__Host-` makes browsers refuse the cookie without Secure, with a Domain or with another Path. */
export const SESSION_COOKIE = '__Host-hyper-session';

const cookie = (value: string, maxAgeSeconds: number): string =>
  `${SESSION_COOKIE}=${value}; Path=/; Max-Age=${maxAgeSeconds}; Secure; HttpOnly; SameSite=Strict`;

export function createAccessRoutes(sessions: Sessions, address: PublicAddress, operatorSeesScreens: boolean): Handlers {
  const view = (who: Identity): IdentityView => ({
    user: who.user,
    role: who.role,
    via: who.via === 'system' ? 'admin_socket' : who.via,
    permissions: [...permissionsOf(who, operatorSeesScreens)],
    sessionId: who.sessionId,
  });

  return {
    'POST /auth/link': async ({ body, identity, headers }) => {
      const {
        secret,
        identity: signedIn,
        expiresAt,
      } = await sessions.redeem(body.token, {
        address: identity.address ?? 'local',
        userAgent: headers['user-agent'] ?? '',
      });
      const maxAge = Math.floor((Date.parse(expiresAt) - Date.now()) / 1000);
      return { json: view(signedIn), headers: { 'set-cookie': cookie(secret, maxAge) } };
    },
    'POST /auth/links': async ({ body }) => {
      const { token, expiresAt } = await sessions.createLink(body.role);
      const { origin, fingerprint } = address();
      // The token sits in the fragment: browsers never send it, so it reaches no log and no link preview spends it.
      return { url: `${origin}/sign-in#${token}`, expiresAt, fingerprint };
    },
    'GET /auth/session': ({ identity }) => view(identity),
    'POST /auth/logout': async ({ identity }) => {
      if (identity.sessionId) await sessions.end(identity.sessionId);
      return { json: undefined, headers: { 'set-cookie': cookie('', 0) } };
    },
    'GET /auth/sessions': ({ identity }) => {
      const items = sessions.list(identity.sessionId);
      return { items, next: null, total: items.length };
    },
    'DELETE /auth/sessions/{id}': async ({ params }) => {
      await sessions.end(params.id);
    },
  };
}
