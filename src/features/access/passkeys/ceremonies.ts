/** The ceremonies of WebAuthn on the server: challenges that are kept here and used once, and what the browser answers to them.
 *  Knows neither HTTP nor sessions. */

import type { Assertion, AssertionChallenge, Attestation, AttestationChallenge } from '#contract/passkeys.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId, newSecret } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { createOneUse } from '../one-use.ts';
import type { RelyingParty } from './relying-party.ts';
import type { PasskeyRow, PasskeyStore } from './store.ts';

/** Time to find a security key and type its PIN. */
const CEREMONY_MS = 120_000;
/** COSE: EdDSA, ES256, RS256. Between them every authenticator has one. */
const ALGORITHMS = [-8, -7, -257];
const MAX_PASSKEYS = 20;

/** Who adds a passkey. */
export interface Owner {
  readonly userId: string;
  readonly user: string;
  readonly sessionId: string;
}

/** What an answered challenge proves. */
export interface Proof {
  readonly passkey: PasskeyRow;
  /** Of the action that a fresh proof is for; null = sign-in. */
  readonly digest: string | null;
}

export interface Ceremonies {
  /** @param from address of who asks */
  beginSignIn(from: string): AssertionChallenge;
  /** A proof for one action of one session; only the user's own passkeys may answer. @throws passkey_refused when there is none */
  beginStepUp(owner: Owner, digest: string): Promise<AssertionChallenge>;
  /** @param sessionId null = a sign-in is meant; a challenge made for the one proves nothing for the other
   *  @throws passkey_refused always with the same text, passkey_counter_back */
  finishAssertion(assertion: Assertion, sessionId: string | null): Promise<Proof>;
  beginAdding(owner: Owner): Promise<AttestationChallenge>;
  /** @throws passkey_refused, already_exists */
  finishAdding(owner: Owner, attestation: Attestation): Promise<PasskeyRow>;
}

interface Waiting {
  readonly purpose: 'sign_in' | 'step_up' | 'add';
  readonly challenge: string;
  readonly sessionId: string | null;
  readonly userId: string | null;
  readonly digest: string | null;
}

export interface CeremonyPorts {
  readonly store: PasskeyStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly relyingParty: () => RelyingParty;
  /** Hears of a correct signature whose counter went back. */
  readonly onCounterBack: (passkey: PasskeyRow) => Promise<void>;
}

const handleOf = (userId: string): string => Buffer.from(userId).toString('base64url');
const described = (row: PasskeyRow) => ({
  id: row.credential_id,
  transports: JSON.parse(row.transports) as string[],
});

// Loaded with the first ceremony: the library with its parsers takes memory that a machine without passkeys does not need.
const library = () => import('@simplewebauthn/server');
const helpers = () => import('@simplewebauthn/server/helpers');

export function createCeremonies({ store, clock, log, relyingParty, onCounterBack }: CeremonyPorts): Ceremonies {
  const waiting = createOneUse<Waiting>(clock, CEREMONY_MS);

  /** One answer for everything that does not fit: it must not tell which credential exists. */
  const refuse = (reason: string, cause?: unknown): never => {
    log.info({ reason, err: cause }, 'a passkey was refused');
    throw new AppError('passkey_refused', { cause });
  };

  const begin = (entry: Omit<Waiting, 'challenge'>, owner: string) => {
    const challenge = newSecret();
    return { ceremonyId: waiting.put({ ...entry, challenge }, owner), challenge };
  };

  const assertionFor = (
    entry: Omit<Waiting, 'challenge'>,
    owner: string,
    rows: readonly PasskeyRow[],
  ): AssertionChallenge => ({
    ...begin(entry, owner),
    rpId: relyingParty().id,
    timeoutMs: CEREMONY_MS,
    credentials: rows.map(described),
  });

  /** Checks signature, origin, rpId, presence and verification of the user; the counter is the caller's. */
  const counterOf = async (assertion: Assertion, passkey: PasskeyRow, challenge: string): Promise<number> => {
    const { verifyAuthenticationResponse } = await library();
    const party = relyingParty();
    const { verified, authenticationInfo } = await verifyAuthenticationResponse({
      response: {
        id: assertion.credentialId,
        rawId: assertion.credentialId,
        type: 'public-key',
        clientExtensionResults: {},
        response: {
          clientDataJSON: assertion.clientDataJson,
          authenticatorData: assertion.authenticatorData,
          signature: assertion.signature,
        },
      },
      expectedChallenge: challenge,
      expectedOrigin: [...party.origins],
      expectedRPID: party.id,
      requireUserVerification: true,
      // The library looks at the counter before the signature; an alert must need a right signature, so it is not told.
      credential: {
        id: passkey.credential_id,
        publicKey: new Uint8Array(Buffer.from(passkey.public_key, 'base64url')),
        counter: 0,
      },
    });
    if (!verified) throw new Error('the signature is wrong');
    return authenticationInfo.newCounter;
  };

  return {
    beginSignIn: (from) => assertionFor({ purpose: 'sign_in', sessionId: null, userId: null, digest: null }, from, []),

    async beginStepUp({ userId, sessionId }, digest) {
      const own = (await store.ofUser(userId)).filter((row) => row.suspected_at === null);
      if (own.length === 0)
        throw new AppError('passkey_refused', {
          detail: 'You have no passkey.',
          hint: 'Prove it with your SSH key, or add a passkey under Settings after a fresh sign-in.',
        });
      return assertionFor({ purpose: 'step_up', sessionId, userId, digest }, sessionId, own);
    },

    async finishAssertion(assertion, sessionId) {
      const entry = waiting.take(assertion.ceremonyId);
      const purpose = sessionId === null ? 'sign_in' : 'step_up';
      if (!entry || entry.purpose !== purpose || entry.sessionId !== sessionId) return refuse('no such challenge');
      const passkey = await store.byCredential(assertion.credentialId);
      if (!passkey) return refuse('unknown credential');
      if (entry.userId !== null && entry.userId !== passkey.user_id) return refuse("another user's credential");
      // A sign-in names no user, so the authenticator must; a security key that is not asked to may leave it out.
      const handle = assertion.userHandle;
      if (handle === null ? purpose === 'sign_in' : handle !== handleOf(passkey.user_id))
        return refuse('wrong user handle');
      let counter: number;
      try {
        counter = await counterOf(assertion, passkey, entry.challenge);
      } catch (error) {
        return refuse('verification failed', error);
      }
      const at = clock.now().toISOString();
      if (!(await store.use(passkey.id, counter, at))) {
        log.warn(
          { passkey: passkey.id, user: passkey.user_id, known: passkey.counter, counter },
          'the counter of a passkey went back: it may have been copied',
        );
        await store.suspect(passkey.id, at);
        await onCounterBack(passkey);
        throw new AppError('passkey_counter_back');
      }
      return { passkey, digest: entry.digest };
    },

    async beginAdding({ userId, user, sessionId }) {
      const rows = await store.ofUser(userId);
      return {
        ...begin({ purpose: 'add', sessionId, userId, digest: null }, sessionId),
        rpId: relyingParty().id,
        timeoutMs: CEREMONY_MS,
        user: { handle: handleOf(userId), name: user },
        algorithms: ALGORITHMS,
        credentials: rows.map(described),
      };
    },

    async finishAdding({ userId, sessionId }, attestation) {
      const entry = waiting.take(attestation.ceremonyId);
      if (entry?.purpose !== 'add' || entry.sessionId !== sessionId || entry.userId !== userId)
        return refuse('no such challenge');
      if ((await store.ofUser(userId)).length >= MAX_PASSKEYS)
        throw new AppError('wrong_state', {
          detail: `You have ${MAX_PASSKEYS} passkeys; more are not kept.`,
          hint: 'Delete one that you no longer use.',
        });
      const party = relyingParty();
      try {
        await refuseForeignStatement(attestation.attestationObject);
        const { verifyRegistrationResponse } = await library();
        const { verified, registrationInfo } = await verifyRegistrationResponse({
          response: {
            id: attestation.credentialId,
            rawId: attestation.credentialId,
            type: 'public-key',
            clientExtensionResults: {},
            response: {
              clientDataJSON: attestation.clientDataJson,
              attestationObject: attestation.attestationObject,
            },
          },
          expectedChallenge: entry.challenge,
          expectedOrigin: [...party.origins],
          expectedRPID: party.id,
          requireUserVerification: true,
          supportedAlgorithmIDs: ALGORITHMS,
        });
        if (!verified) throw new Error('it does not verify');
        const { credential, credentialBackedUp } = registrationInfo;
        if (credential.id !== attestation.credentialId) throw new Error('the credential has another id');
        const row: PasskeyRow = {
          id: newId('psk', clock.now().getTime()),
          user_id: userId,
          credential_id: credential.id,
          public_key: Buffer.from(credential.publicKey).toString('base64url'),
          counter: credential.counter,
          transports: JSON.stringify(attestation.transports),
          name: attestation.name,
          is_synced: credentialBackedUp ? 1 : 0,
          created_at: clock.now().toISOString(),
          last_used_at: null,
          suspected_at: null,
        };
        if (!(await store.add(row)))
          throw new AppError('already_exists', {
            detail: 'This passkey is known already.',
            hint: 'Use another device.',
          });
        return row;
      } catch (error) {
        if (error instanceof AppError) throw error;
        return refuse('it could not be added', error);
      }
    },
  };
}

/** Refuses statements about the make of the authenticator, which we did not ask for: to check one, the library would fetch the lists
 *  of revoked certificates from addresses that stand in the statement itself. A self-signed one has no certificates and may stay. */
async function refuseForeignStatement(attestationObject: string): Promise<void> {
  const { decodeAttestationObject } = await helpers();
  const decoded = decodeAttestationObject(new Uint8Array(Buffer.from(attestationObject, 'base64url')));
  const format = decoded.get('fmt');
  const isSelfSigned = format === 'packed' && decoded.get('attStmt').get('x5c') === undefined;
  if (format !== 'none' && !isSelfSigned) throw new Error(`a statement of the form "${format}" was not asked for`);
}
