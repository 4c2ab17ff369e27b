/** Sign-in by SSH key, device codes and keys over HTTP. */

import { hostname } from 'node:os';
import type { IdentityView } from '#contract/access.ts';
import type { DeviceView, SshKey } from '#contract/sign-in.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, Handlers, Identity, PublicAddress } from '#platform/feature.ts';
import type { Directory } from '../directory.ts';
import { userOf } from '../lookup.ts';
import type { OwnRights } from '../own-rights.ts';
import { sessionCookie } from '../routes.ts';
import type { StepUp } from '../step-up.ts';
import type { PendingChallenge } from './challenges.ts';
import type { Flow } from './device-flows.ts';
import type { KeyRow, KeyStore } from './key-store.ts';
import type { Asker, Place, SshSignIn } from './sign-in.ts';

const POLL_SECONDS = 2;

export interface SshRouteDependencies {
  readonly signIn: SshSignIn;
  readonly keys: KeyStore;
  readonly directory: Pick<Directory, 'snapshot'>;
  readonly ownRights: OwnRights;
  readonly stepUp: StepUp;
  readonly address: PublicAddress;
  readonly describe: (who: Identity) => IdentityView;
}

export const keyObject = (row: KeyRow): FoundObject => ({
  type: 'key',
  id: row.id,
  name: row.fingerprint,
  project: null,
  owner: row.userId,
});

type Headers = Readonly<Record<string, string | undefined>>;

export function createSshRoutes({
  signIn,
  keys,
  directory,
  ownRights,
  stepUp,
  address,
  describe,
}: SshRouteDependencies): Handlers {
  const askerOf = (identity: Identity, headers: Headers): Asker => ({
    address: identity.address ?? 'local',
    remote: identity.address,
    userAgent: headers['user-agent'] ?? '',
  });
  /** The network's door has checked that Host is one of our names; a local socket has none. */
  const placeOf = (identity: Identity, headers: Headers): Place => {
    const { origin, fingerprint } = address();
    return {
      aud: identity.address === null ? origin : `https://${(headers['host'] ?? '').toLowerCase()}`,
      fp: fingerprint,
    };
  };
  const challengeView = ({ text, nonce, expiresAt }: PendingChallenge) => ({ text, nonce, expiresAt });
  const deviceView = ({ secret, flow }: { secret: string; flow: Flow }, { aud }: Place): DeviceView => ({
    deviceSecret: secret,
    userCode: flow.code,
    command: `hv login --web ${flow.code} --url ${aud}`,
    expiresAt: flow.expiresAt,
    intervalSeconds: POLL_SECONDS,
  });
  const nameOf = (userId: string): string => directory.snapshot().users.get(userId)?.name ?? userId;
  const keyView = (row: KeyRow): SshKey => ({
    id: row.id,
    user: nameOf(row.userId),
    userId: row.userId,
    type: row.type,
    state: 'active',
    fingerprint: row.fingerprint,
    comment: row.comment,
    source: row.source,
    createdAt: row.createdAt,
    lastUsedAt: row.lastUsedAt,
  });
  const page = (rows: readonly KeyRow[]) => ({ items: rows.map(keyView), next: null, total: rows.length });

  return {
    'POST /auth/challenge': ({ body, identity, headers }) =>
      challengeView(signIn.challenge(body, placeOf(identity, headers), askerOf(identity, headers))),
    'POST /auth/ssh': async ({ body, identity, headers, isBy }) => {
      const session = await signIn.signIn(body, placeOf(identity, headers), askerOf(identity, headers));
      isBy(session.identity);
      return { json: describe(session.identity), headers: sessionCookie(session) };
    },
    'POST /auth/device': ({ identity, headers }) =>
      deviceView(signIn.startDevice(askerOf(identity, headers)), placeOf(identity, headers)),
    'POST /auth/device/poll': ({ body }) => ({ state: signIn.pollDevice(body.deviceSecret) }),
    'POST /auth/device/claim': async ({ body, identity, headers, isBy }) => {
      const result = await signIn.claimDevice(body.deviceSecret, askerOf(identity, headers));
      isBy(result.by);
      return 'session' in result
        ? { json: describe(result.session.identity), headers: sessionCookie(result.session) }
        : { json: null, headers: sessionCookie(result.renewed) };
    },
    'POST /auth/device/look': ({ body, identity, headers }) => {
      const flow = signIn.lookAtDevice(body.code, askerOf(identity, headers));
      const { goal } = flow;
      return {
        host: hostname(),
        purpose: goal.kind,
        user: goal.kind === 'step-up' ? nameOf(goal.userId) : null,
        action: goal.kind === 'step-up' ? stepUp.actionOf(goal.sessionId, goal.digest) : null,
        address: flow.address,
        userAgent: flow.userAgent,
        yourAddress: identity.address,
        expiresAt: flow.expiresAt,
      };
    },
    'POST /auth/device/approve': async ({ body, identity, headers, isBy }) => {
      const { user, goal } = await signIn.approveDevice(body, placeOf(identity, headers), askerOf(identity, headers));
      isBy(user);
      return { user: user.user, purpose: goal.kind };
    },
    'POST /auth/device/confirm': ({ body, identity }) => {
      // A session must not breed further ones: over the network only a signature confirms.
      if (identity.via !== 'admin_socket') throw new AppError('console_only');
      const { user, goal } = signIn.confirmDevice(body.code, body.user);
      return { user, purpose: goal.kind };
    },
    'POST /auth/step-up/device': ({ body, identity, headers }) =>
      deviceView(signIn.startStepUp(identity, body.digest, askerOf(identity, headers)), placeOf(identity, headers)),
    'POST /auth/step-up/challenge': ({ body, identity, headers }) =>
      challengeView(signIn.stepUpChallenge(identity, body, placeOf(identity, headers))),
    'POST /auth/step-up/ssh': async ({ body, identity, headers }) => ({
      json: undefined,
      headers: sessionCookie(await signIn.stepUp(identity, body, placeOf(identity, headers))),
    }),

    'GET /keys': ({ identity }) => page(keys.ofUser(identity.userId)),
    'POST /keys': async ({ body, identity }) => {
      if (!directory.snapshot().users.has(identity.userId))
        throw new AppError('wrong_state', {
          detail: 'A key belongs to a user, and a local socket is none.',
          hint: 'Name the user: `hv user key add USER FILE`.',
        });
      return keyView(await keys.add(identity.userId, body.key));
    },
    'DELETE /keys/{id}': async ({ params, identity }) => {
      const row = keys.get(params.id);
      if (!row) throw new AppError('not_found', { detail: `There is no key "${params.id.slice(0, 80)}".` });
      if (row.userId !== identity.userId) ownRights.requireOver(identity, row.userId);
      await keys.remove(row);
    },
    'GET /users/{id}/keys': ({ params }) => page(keys.ofUser(userOf(directory.snapshot(), params.id).id)),
    'POST /users/{id}/keys': async ({ params, body, identity }) => {
      const user = userOf(directory.snapshot(), params.id);
      // Whoever has a key of a user is that user.
      ownRights.requireOver(identity, user.id);
      return keyView(await keys.add(user.id, body.key));
    },
  };
}
