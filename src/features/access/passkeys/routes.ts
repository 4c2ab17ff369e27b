/** Passkeys over HTTP: sign-in, the fresh proof, and a user's own passkeys. */

import type { IdentityView } from '#contract/access.ts';
import { AppError } from '#kernel/errors.ts';
import type { Handlers, Identity } from '#platform/feature.ts';
import type { OwnRights } from '../own-rights.ts';
import { sessionCookie } from '../routes.ts';
import type { Sessions } from '../sessions.ts';
import type { StepUp } from '../step-up.ts';
import type { Ceremonies, Owner } from './ceremonies.ts';
import type { RelyingParty } from './relying-party.ts';
import { type PasskeyRow, type PasskeyStore, passkeyView } from './store.ts';

export interface PasskeyRouteDependencies {
  readonly ceremonies: Ceremonies;
  readonly store: PasskeyStore;
  readonly relyingParty: () => RelyingParty;
  readonly sessions: Pick<Sessions, 'begin' | 'renew'>;
  readonly stepUp: Pick<StepUp, 'asked' | 'grant' | 'has'>;
  readonly ownRights: OwnRights;
  readonly describe: (who: Identity) => IdentityView;
  /** Whether the user has something else to prove himself with, as an SSH key. */
  readonly hasOtherFactor: (userId: string) => boolean;
}

/** Who has a passkey is a person at a browser, neither a socket nor a token. @throws wrong_state */
function ownerOf({ userId, user, sessionId }: Identity): Owner {
  if (sessionId !== null) return { userId, user, sessionId };
  throw new AppError('wrong_state', {
    detail: 'Passkeys belong to people who signed in with a browser.',
    hint: 'Sign in to the dashboard and open Settings.',
  });
}

const pageOf = (rows: readonly PasskeyRow[]) => ({ items: rows.map(passkeyView), next: null, total: rows.length });

export function createPasskeyRoutes({
  ceremonies,
  store,
  relyingParty,
  sessions,
  stepUp,
  ownRights,
  describe,
  hasOtherFactor,
}: PasskeyRouteDependencies): Handlers {
  /** That the sign-in was fresh, the route has asked for. A link proves nothing that a factor could prove better: where there is one,
   *  it is asked for, so that who stole a link cannot make himself at home. @throws step_up_required */
  const requireFactor = async (who: Identity, digest: string, except: PasskeyRow | null = null) => {
    const { userId, sessionId } = ownerOf(who);
    if (stepUp.has(sessionId, digest) || who.method === 'passkey' || who.method === 'ssh_key') return;
    const usable = (await store.ofUser(userId)).filter((row) => row.suspected_at === null && row.id !== except?.id);
    const isSuspected = except !== null && except.suspected_at !== null;
    if (usable.length === 0 && !hasOtherFactor(userId) && (except === null || isSuspected)) return;
    const action = 'Change the passkeys of this account';
    stepUp.asked(sessionId, digest, action);
    throw new AppError('step_up_required', { params: { digest, action } });
  };

  const own = async (who: Identity, id: string): Promise<PasskeyRow> => {
    const found = (await store.ofUser(who.userId)).find((row) => row.id === id);
    if (!found) throw new AppError('not_found', { detail: `You have no passkey "${id.slice(0, 80)}".` });
    return found;
  };

  return {
    'GET /auth/passkey': () => {
      const { id, openAt } = relyingParty();
      return { rpId: id, openAt };
    },
    'POST /auth/passkey/challenge': ({ identity }) => ceremonies.beginSignIn(identity.address ?? 'local'),
    'POST /auth/passkey': async ({ body, identity, headers, isBy }) => {
      const { passkey } = await ceremonies.finishAssertion(body, null);
      const session = await sessions.begin(
        { userId: passkey.user_id, method: 'passkey' },
        { address: identity.address ?? 'local', userAgent: headers['user-agent'] ?? '' },
      );
      isBy(session.identity);
      return { json: describe(session.identity), headers: sessionCookie(session) };
    },

    'POST /auth/step-up/passkey/challenge': ({ body, identity }) =>
      ceremonies.beginStepUp(ownerOf(identity), body.digest),
    'POST /auth/step-up/passkey': async ({ body, identity }) => {
      const { sessionId } = ownerOf(identity);
      const { digest } = await ceremonies.finishAssertion(body, sessionId);
      if (digest !== null) stepUp.grant(sessionId, digest);
      return { json: undefined, headers: sessionCookie(await sessions.renew(sessionId)) };
    },

    'GET /auth/passkeys': async ({ identity }) => pageOf(await store.ofUser(identity.userId)),
    'POST /auth/passkeys/challenge': ({ identity }) => ceremonies.beginAdding(ownerOf(identity)),
    'POST /auth/passkeys': async ({ body, identity, requestHash }) => {
      await requireFactor(identity, requestHash);
      return passkeyView(await ceremonies.finishAdding(ownerOf(identity), body));
    },
    'PATCH /auth/passkeys/{id}': async ({ params, body, identity }) => {
      const row = await own(identity, params.id);
      return passkeyView((await store.rename(identity.userId, row.id, body.name)) ?? row);
    },
    'DELETE /auth/passkeys/{id}': async ({ params, identity, requestHash }) => {
      await requireFactor(identity, requestHash, await own(identity, params.id));
      await store.remove(identity.userId, params.id);
    },

    'GET /users/{id}/passkeys': async ({ params }) => pageOf(await store.ofUser(params.id)),
    'DELETE /users/{id}/passkeys': async ({ params, identity }) => {
      // Whoever takes a user's keys away can bring him to sign in by a link instead.
      ownRights.requireOver(identity, params.id);
      await store.removeAllOf(params.id);
    },
  };
}
