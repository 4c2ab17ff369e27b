/** The transport to a machine that this user signed in to. Where that machine wants a fresh proof for a request, the proof is
 *  signed with the key of the sign-in and the request is sent again. */

import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { type KnownHost, knownHosts } from './known-hosts.ts';
import type { Output } from './output.ts';
import { exchangeRemote, type RemoteResponse, tlsOptions } from './remote.ts';
import { safeText } from './text.ts';
import type { RawRequest, Transport } from './transport.ts';

const signInHint = (name: string) => `Sign in: hv login --url https://${name}`;

/** @param name as given with `--host` or in HV_HOST; who it is is looked up with the first request */
export function createRemoteTransport(env: NodeJS.ProcessEnv, output: Output, name: string): Transport {
  const hosts = knownHosts(env);

  const open = async (): Promise<{ host: KnownHost; cookie: string }> => {
    const host = await hosts.find(name);
    if (!host)
      throw new Failure(`you never signed in to "${name}"`, {
        exit: EXIT.denied,
        code: 'not_signed_in',
        hint: `${signInHint(name)}; \`hv session hosts\` lists the machines you know.`,
      });
    const cookie = await hosts.session(host);
    if (cookie === null)
      throw new Failure(`you are not signed in to ${host.name}`, {
        exit: EXIT.denied,
        code: 'not_signed_in',
        hint: signInHint(host.name),
      });
    return { host, cookie };
  };

  const exchange = async (raw: RawRequest): Promise<RemoteResponse> => {
    const { host, cookie } = await open();
    const answer = await exchangeRemote({ origin: host.origin, authority: host.authority, cookie }, raw);
    // A session changes its secret when its owner proves himself, and an empty one means that it is over.
    if (answer.cookie !== null) await hosts.saveSession(host, answer.cookie.endsWith('=') ? null : answer.cookie);
    if (answer.status === 401) await hosts.saveSession(host, null);
    return answer;
  };

  const proveFor = async ({ digest, action }: WantedProof): Promise<void> => {
    const { prove } = await import('./ssh-proof.ts');
    const { host, cookie } = await open();
    output.message(`${host.name} wants a fresh proof: ${safeText(action)}`);
    const { response } = await prove(
      env,
      output,
      {
        remote: { origin: host.origin, authority: host.authority, cookie },
        purpose: 'step-up',
        user: host.user,
        challengePath: '/auth/step-up/challenge',
        challengeBody: { digest },
        proofPath: '/auth/step-up/ssh',
        digest,
      },
      { file: undefined, last: host.key },
    );
    if (response.cookie !== null) await hosts.saveSession(host, response.cookie);
  };

  return {
    async send(raw) {
      const answer = await exchange(raw);
      const wanted = answer.status === 403 ? wantedProof(answer.body) : null;
      if (wanted === null) return answer;
      await proveFor(wanted);
      return exchange(raw);
    },
    async webSocket(path) {
      const { host, cookie } = await open();
      const headers = { origin: host.origin, cookie };
      return {
        url: `${host.origin.replace(/^https/, 'wss')}${path}`,
        options: { ...tlsOptions(host.origin, host.authority), headers },
      };
    },
    host: name,
    isHere: async () => false,
  };
}

interface WantedProof {
  readonly digest: string;
  readonly action: string;
}

/** What has to be proven when a request was refused for want of a proof, or null. */
function wantedProof(body: Buffer): WantedProof | null {
  try {
    const { code, params }: { code?: unknown; params?: { digest?: unknown; action?: unknown } } = JSON.parse(
      body.toString('utf8'),
    );
    if (code !== 'step_up_required' || typeof params?.digest !== 'string') return null;
    return { digest: params.digest, action: String(params.action ?? '') };
  } catch {
    // Not a problem document of ours: shown as it is.
    return null;
  }
}
