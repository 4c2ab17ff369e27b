/** Proves to a machine who sits here: fetches a challenge, checks that it is for this machine and this purpose, and signs it.
 *  What is checked here is what keeps a machine in the middle from passing our signature on. */

import type { ChallengeText, ChallengeView } from '#contract/sign-in.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import type { KnownHost } from './known-hosts.ts';
import type { Output } from './output.ts';
import { problemFrom } from './problems.ts';
import { exchangeRemote, type Remote, type RemoteResponse } from './remote.ts';
import { findSigners, type Signer } from './ssh-sign.ts';

export interface ProofRequest {
  readonly remote: Remote;
  readonly purpose: ChallengeText['purpose'];
  readonly user: string;
  /** Route that gives the challenge, and what it is asked. */
  readonly challengePath: string;
  readonly challengeBody: Readonly<Record<string, string>>;
  /** Route that takes the signature. */
  readonly proofPath: string;
  /** What the challenge has to hold besides. */
  readonly code?: string;
  readonly digest?: string;
}

export interface KeyChoice {
  /** `--key`. */
  readonly file: string | undefined;
  /** The key that worked last. */
  readonly last: KnownHost['key'];
}

export interface Proven {
  readonly response: RemoteResponse;
  /** Id of the key that signed. */
  readonly key: string;
}

/** Tries the keys of the user one after the other, each with a challenge of its own.
 *  @throws Failure exit 3 when none is taken */
export async function prove(
  env: NodeJS.ProcessEnv,
  output: Output,
  request: ProofRequest,
  choice: KeyChoice,
): Promise<Proven> {
  const signers = await findSigners(env, choice);
  let refusal: unknown;
  for (const signer of signers) {
    const response = await tryKey(output, request, signer);
    if (response.status < 400) return { response, key: signer.id };
    refusal = problemFrom(response.body.toString('utf8'), response.status);
    // Anything but a wrong key fails with every key.
    if (response.status !== 401) break;
  }
  throw refusal;
}

async function tryKey(output: Output, request: ProofRequest, signer: Signer): Promise<RemoteResponse> {
  const { remote } = request;
  const asked = await post(remote, request.challengePath, request.challengeBody);
  if (asked.status >= 400) return asked;
  const challenge: ChallengeView = JSON.parse(asked.body.toString('utf8'));
  checkChallenge(challenge, request, asked.fingerprint);
  output.message(`signing with ${signer.label}`);
  const signature = await signer.sign(challenge.text);
  return post(remote, request.proofPath, { nonce: challenge.nonce, signature });
}

/** @throws Failure exit 1 when the machine wants something signed that is not meant for it */
function checkChallenge(challenge: ChallengeView, request: ProofRequest, fingerprint: string): void {
  const text: ChallengeText = JSON.parse(challenge.text);
  const expected: Partial<ChallengeText> = {
    v: 1,
    purpose: request.purpose,
    aud: request.remote.origin,
    fp: fingerprint,
    user: request.user,
    nonce: challenge.nonce,
    ...(request.code === undefined ? {} : { code: request.code }),
    ...(request.digest === undefined ? {} : { digest: request.digest }),
  };
  for (const [name, value] of Object.entries(expected)) {
    const found = Object.entries(text).find(([key]) => key === name)?.[1];
    if (found === value) continue;
    throw new Failure(
      `the machine asks to sign "${name}: ${String(found)}" instead of "${String(value)}"; nothing was signed`,
      {
        exit: EXIT.failed,
        code: 'challenge_refused',
        hint: 'Something between here and the machine may be passing signatures on. Use the address that `hv status` prints there.',
      },
    );
  }
}

export function post(remote: Remote, path: string, body: object): Promise<RemoteResponse> {
  return exchangeRemote(remote, {
    method: 'POST',
    path: `/api/v1${path}`,
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}
