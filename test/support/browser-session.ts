/** What a browser does without being one: signs in by a one-time link, keeps its cookie, asks the API. */

import { request as httpsRequest } from 'node:https';
import type { TestDaemon } from './daemon.ts';
import { linkToken } from './link-token.ts';

export interface Answer {
  readonly status: number;
  readonly json: Record<string, unknown>;
}

export interface BrowserSession {
  /** The cookie header; changes when the daemon sets another. */
  readonly cookie: string;
  call(method: string, path: string, body?: unknown): Promise<Answer>;
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** A relay into the network where the daemon listens. */
  readonly socketPath?: string | undefined;
}

/** One request to the network door. */
export function ask(
  origin: string,
  { method, path, headers = {}, body, socketPath }: Asked,
): Promise<Answer & { readonly setCookie: string | null }> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      `${origin}/api/v1${path}`,
      {
        method,
        ...(socketPath === undefined ? {} : { socketPath }),
        // The certificate is of the machine's own authority; here it is not what is looked at.
        rejectUnauthorized: false,
        headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            json: JSON.parse(Buffer.concat(parts).toString() || '{}'),
            setCookie: response.headers['set-cookie']?.[0]?.split(';')[0] ?? null,
          }),
        );
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Signs a user in by a link that the admin socket makes.
 *  @param socketPath a relay into the network where the daemon listens
 *  @throws Error when the link is refused */
export async function signInByLink(daemon: TestDaemon, user: string, socketPath?: string): Promise<BrowserSession> {
  const token = await linkToken(daemon, user);
  let cookie = '';
  const call: BrowserSession['call'] = async (method, path, body) => {
    const answer = await ask(daemon.origin, {
      method,
      path,
      headers: { origin: daemon.origin, ...(cookie === '' ? {} : { cookie }) },
      body,
      socketPath,
    });
    if (answer.setCookie !== null) cookie = answer.setCookie;
    return answer;
  };
  const signedIn = await call('POST', '/auth/link', { token });
  if (signedIn.status !== 200) throw new Error(`signing in answered ${JSON.stringify(signedIn)}`);
  return {
    get cookie() {
      return cookie;
    },
    call,
  };
}
