/** Sign-in and fresh proofs by SSH key: joins challenges, signatures, keys, device codes and back-off into the acts behind the routes.
 *  Every refusal of a proof is the same error, whatever was wrong with it. */

import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { SIGN_IN_NAMESPACE } from '#kernel/ssh-wire.ts';
import type { Transaction } from '#platform/db/database.ts';
import type { Identity } from '#platform/feature.ts';
import { sourceOf } from '#platform/source-address.ts';
import type { Directory, UserRow } from '../directory.ts';
import { findUser } from '../lookup.ts';
import type { NewSession, Sessions, SignInOrigin } from '../sessions.ts';
import type { StepUp } from '../step-up.ts';
import { createBackOff } from './back-off.ts';
import { type Challenges, createChallenges, type PendingChallenge, type Purpose } from './challenges.ts';
import { createDeviceFlows, type DeviceFlows, type Flow, type FlowGoal, normalCode } from './device-flows.ts';
import type { KeyRow, KeyStore } from './key-store.ts';
import { verifySshSignature } from './sshsig.ts';

/** One address that guesses waits up to a minute. */
const BY_ADDRESS = { free: 10, firstMs: 1000, maxMs: 60_000 };
/** Guesses at one account from many addresses. A right proof is taken all the same, so that nobody locks its owner out. */
const BY_ACCOUNT = { free: 20, firstMs: 1000, maxMs: 30_000 };

/** Who asks and from where. */
export interface Asker extends SignInOrigin {
  /** Null on a local socket, which nothing slows. */
  readonly remote: string | null;
}

export interface Proof {
  readonly nonce: string;
  readonly signature: string;
}

export interface SshSignIn {
  challenge(
    request: { user: string; by: 'program' | 'person'; code?: string | undefined },
    where: Place,
    asker: Asker,
  ): PendingChallenge;
  /** @throws signature_refused, too_many_requests */
  signIn(proof: Proof, where: Place, asker: Asker): Promise<NewSession>;
  startDevice(asker: Asker): { secret: string; flow: Flow };
  /** @throws device_refused, too_many_requests */
  lookAtDevice(code: string, asker: Asker): Flow;
  approveDevice(proof: Proof, where: Place, asker: Asker): Promise<{ user: Named; goal: FlowGoal }>;
  /** Root on the machine confirms. @throws device_refused, not_found */
  confirmDevice(code: string, userName: string | undefined): { user: string; goal: FlowGoal };
  /** @throws device_refused */
  pollDevice(secret: string): 'pending' | 'confirmed';
  /** A new session, or the new secret of the session that asked for a proof. @throws device_refused */
  claimDevice(secret: string, asker: Asker): Promise<{ by: Named } & ({ session: NewSession } | { renewed: Renewed })>;
  startStepUp(who: Identity, digest: string, asker: Asker): { secret: string; flow: Flow };
  stepUpChallenge(who: Identity, request: { digest: string; by: 'program' | 'person' }, where: Place): PendingChallenge;
  stepUp(who: Identity, proof: Proof, where: Place): Promise<Renewed>;
}

/** A user as the audit log names him. */
type Named = Pick<Identity, 'user' | 'userId'>;

/** A session under a new secret. */
export type Renewed = Pick<NewSession, 'secret' | 'expiresAt'>;

/** The address that the client dialled and the certificate that it saw there. */
export interface Place {
  readonly aud: string;
  readonly fp: string;
}

interface Dependencies {
  readonly clock: Clock;
  readonly log: Logger;
  readonly keys: KeyStore;
  readonly directory: Pick<Directory, 'snapshot'>;
  readonly sessions: Pick<Sessions, 'begin' | 'renew'>;
  readonly stepUp: StepUp;
}

export function createSshSignIn({ clock, log, keys, directory, sessions, stepUp }: Dependencies): SshSignIn {
  const challenges: Challenges = createChallenges(clock);
  const flows: DeviceFlows = createDeviceFlows(clock);
  const byAddress = createBackOff(clock, BY_ADDRESS);
  const byAccount = createBackOff(clock, BY_ACCOUNT);

  const slow = (waitMs: number): void => {
    if (waitMs > 0)
      throw new AppError('too_many_requests', {
        hint: `Wait ${Math.ceil(waitMs / 1000)} s and try again.`,
        params: { waitSeconds: Math.ceil(waitMs / 1000) },
      });
  };
  const slowSource = ({ remote }: Asker): void => {
    if (remote !== null) slow(byAddress.waitMs(sourceOf(remote)));
  };
  const failedFrom = ({ remote }: Asker): void => {
    if (remote !== null) byAddress.failed(sourceOf(remote));
  };

  /** Takes the challenge and says whose key signed it. Nothing here waits, so of any number of clients with one nonce only one passes. */
  const prove = (
    { nonce, signature }: Proof,
    purpose: Purpose,
    where: Place,
    asker: Asker,
  ): { pending: PendingChallenge; user: UserRow; key: KeyRow } => {
    slowSource(asker);
    const pending = challenges.take(nonce, purpose);
    // The signature is looked at whether or not the challenge and the user exist, so that all refusals take as long.
    const verdict = verifySshSignature(signature, Buffer.from(pending?.text ?? nonce), SIGN_IN_NAMESPACE);
    const user = findUser(directory.snapshot(), pending?.user ?? '');
    const key = verdict.key === null ? null : keys.find(user?.id ?? '', verdict.key.blob);
    // It was made for another name of this machine or under another certificate: somebody may be passing it on.
    const isHere = pending?.aud === where.aud && pending.fp === where.fp;
    // By its name only: an id in place of the name is another challenge than the one that the owner reads.
    if (pending && user?.name === pending.user && !user.isDisabled && key && isHere) {
      byAccount.succeeded(`user ${user.name}`);
      return { pending, user, key };
    }
    log.info(
      {
        user: pending?.user ?? null,
        address: asker.address,
        reason:
          verdict.key === null
            ? verdict.reason
            : !pending
              ? 'no such challenge'
              : !isHere
                ? 'made for another place'
                : 'not a key of this user',
      },
      'a signature was refused',
    );
    failedFrom(asker);
    const account = pending === null ? null : `user ${pending.user}`;
    const waitMs = account === null ? 0 : byAccount.waitMs(account);
    if (account !== null) byAccount.failed(account);
    slow(waitMs);
    throw new AppError('signature_refused');
  };

  const approve = (flow: Flow, userId: string, method: 'ssh_key' | 'link'): FlowGoal => {
    if (!flows.approve(flow.code, { userId, method })) throw new AppError('device_refused');
    return flow.goal;
  };
  /** Only the owner of a session proves that he is there. */
  const requireOwner = (goal: FlowGoal, userId: string): void => {
    if (goal.kind === 'step-up' && goal.userId !== userId) throw new AppError('signature_refused');
  };
  const named = (userId: string): Named => ({ userId, user: directory.snapshot().users.get(userId)?.name ?? userId });
  const sessionOf = (who: Identity, digest: string): string => {
    if (who.sessionId === null || stepUp.actionOf(who.sessionId, digest) === null)
      throw new AppError('proof_not_asked');
    return who.sessionId;
  };

  return {
    challenge: ({ user, by, code }, where, asker) =>
      challenges.issue({
        ...where,
        purpose: code === undefined ? 'login' : 'device',
        user,
        by,
        source: asker.remote === null ? 'local' : sourceOf(asker.remote),
        ...(code === undefined ? {} : { code: normalCode(code) ?? '' }),
      }),

    async signIn(proof, where, asker) {
      const { user, key } = prove(proof, 'login', where, asker);
      return sessions.begin({ userId: user.id, method: 'ssh_key' }, asker, (tx: Transaction) => keys.used(tx, key));
    },

    startDevice: (asker) =>
      flows.start({ kind: 'login' }, asker, asker.remote === null ? 'local' : sourceOf(asker.remote)),

    lookAtDevice(code, asker) {
      slowSource(asker);
      const flow = flows.find(code);
      if (flow) return flow;
      failedFrom(asker);
      throw new AppError('device_refused');
    },

    async approveDevice(proof, where, asker) {
      const { user, pending } = prove(proof, 'device', where, asker);
      const flow = flows.find(pending.code ?? '');
      if (!flow) {
        failedFrom(asker);
        throw new AppError('device_refused');
      }
      requireOwner(flow.goal, user.id);
      return { user: named(user.id), goal: approve(flow, user.id, 'ssh_key') };
    },

    confirmDevice(code, userName) {
      const flow = flows.find(code);
      if (!flow) throw new AppError('device_refused');
      const wanted = flow.goal.kind === 'step-up' ? flow.goal.userId : userName;
      const user = findUser(directory.snapshot(), wanted ?? 'admin');
      if (!user || user.isDisabled)
        throw new AppError('not_found', { detail: `There is no active user "${(wanted ?? 'admin').slice(0, 80)}".` });
      return { user: user.name, goal: approve(flow, user.id, 'link') };
    },

    pollDevice(secret) {
      const state = flows.poll(secret);
      if (state === null) throw new AppError('device_refused');
      return state;
    },

    async claimDevice(secret, asker) {
      const result = flows.claim(secret);
      if (result === null) throw new AppError('device_refused');
      const { flow, approval } = result;
      if (flow.goal.kind === 'login')
        return {
          by: named(approval.userId),
          session: await sessions.begin({ userId: approval.userId, method: approval.method }, asker),
        };
      stepUp.grant(flow.goal.sessionId, flow.goal.digest);
      return { by: named(flow.goal.userId), renewed: await sessions.renew(flow.goal.sessionId) };
    },

    startStepUp(who, digest, asker) {
      const sessionId = sessionOf(who, digest);
      return flows.start({ kind: 'step-up', sessionId, digest, userId: who.userId }, asker, sessionId);
    },

    stepUpChallenge(who, { digest, by }, where) {
      const sessionId = sessionOf(who, digest);
      return challenges.issue({
        ...where,
        purpose: 'step-up',
        user: who.user,
        by,
        source: sessionId,
        digest,
        sessionId,
      });
    },

    async stepUp(who, proof, where) {
      const asker: Asker = { address: who.address ?? 'local', remote: who.address, userAgent: '' };
      const { pending, user } = prove(proof, 'step-up', where, asker);
      const { sessionId, digest } = pending;
      // A challenge of another session of the same user proves nothing for this one.
      if (sessionId === undefined || digest === undefined || sessionId !== who.sessionId || user.id !== who.userId)
        throw new AppError('signature_refused');
      stepUp.grant(sessionId, digest);
      return sessions.renew(sessionId);
    },
  };
}
