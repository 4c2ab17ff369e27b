/** Talks to one identity provider: discovery, the address of its sign-in page, and the exchange of a code for claims.
 *  Everything it says is checked by openid-client; our own part is which machines may be reached and which algorithms count. */

import type { Configuration, CustomFetchOptions } from 'openid-client';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newSecret } from '#kernel/ids.ts';
import type { Fetcher } from '#platform/fetch/index.ts';

/** Signatures by a key that only the provider has. `none` and those with a shared secret (HS*) never count. */
const ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'ES256', 'PS256', 'EdDSA', 'Ed25519']);
const MAX_ANSWER_BYTES = 256 * 1024;
/** By OpenID Connect Core 1.0, section 2. */
const MAX_SUBJECT = 255;
/** Discovery is read anew so often; keys are read anew when a token names an unknown one. */
const DISCOVERY_MS = 3_600_000;

export interface ProviderSettings {
  readonly issuer: string;
  readonly clientId: string;
  /** Null = a public client: PKCE alone binds the code. */
  readonly clientSecret: string | null;
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
}

/** What must be kept between start and finish. */
export interface Flow {
  readonly redirectUri: string;
  readonly verifier: string;
  readonly nonce: string;
}

/** @param redirectUri page of ours that the provider sends the browser back to */
export const newFlow = (redirectUri: string): Flow => ({ redirectUri, verifier: newSecret(), nonce: newSecret() });

/** Who the provider says it is. */
export interface Account {
  readonly issuer: string;
  readonly subject: string;
  readonly preferredName: string | null;
  readonly groups: readonly string[];
}

export interface ProviderClient {
  /** Where to send the browser. @param state comes back with the provider's answer. @throws oidc_unavailable */
  addressFor(flow: Flow, state: string): Promise<string>;
  /** @throws oidc_refused for any answer that does not fit, oidc_unavailable */
  finish(
    flow: Flow,
    answer: {
      readonly state: string;
      readonly code?: string | undefined;
      readonly iss?: string | undefined;
      readonly error?: string | undefined;
    },
  ): Promise<Account>;
}

// Loaded with the first sign-in through a provider; most machines have none.
const library = () => import('openid-client');

export function createProviderClient(
  settings: ProviderSettings,
  fetcher: Pick<Fetcher, 'call'>,
  clock: Clock,
): ProviderClient {
  let known: { readonly config: Configuration; readonly dueMs: number } | null = null;

  /** openid-client's door to the network is ours. */
  const guardedFetch = async (url: string, options: CustomFetchOptions): Promise<Response> => {
    const { method } = options;
    if (method !== 'GET' && method !== 'POST') throw new TypeError(`no ${method} to identity providers`);
    const answer = await fetcher.call({
      url,
      method,
      headers: options.headers,
      ...(options.body === undefined || options.body === null ? {} : { body: String(options.body) }),
      maxBytes: MAX_ANSWER_BYTES,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const headers = new Headers();
    for (const name of ['content-type', 'www-authenticate']) {
      const value = answer.header(name);
      if (value !== null) headers.set(name, value);
    }
    const hasBody = ![204, 205, 304].includes(answer.status);
    return new Response(hasBody ? new Uint8Array(answer.body) : null, { status: answer.status, headers });
  };

  const discover = async (): Promise<Configuration> => {
    if (known && known.dueMs > clock.monotonicMs()) return known.config;
    const client = await library();
    const authentication =
      settings.clientSecret === null ? client.None() : client.ClientSecretBasic(settings.clientSecret);
    const isPlain = settings.issuer.startsWith('http:');
    const extensions = isPlain ? [client.allowInsecureRequests] : [];
    const found = await client.discovery(new URL(settings.issuer), settings.clientId, undefined, authentication, {
      [client.customFetch]: guardedFetch,
      execute: extensions,
    });
    const metadata = found.serverMetadata();
    // Without a list the standard's default holds, RS256.
    const offered = metadata.id_token_signing_alg_values_supported ?? ['RS256'];
    const algorithms = offered.filter((name) => ALGORITHMS.has(name));
    if (algorithms.length === 0)
      throw new Error(`the provider signs with ${offered.slice(0, 10).join(', ')}; none of these is taken`);
    const config = new client.Configuration(
      {
        ...metadata,
        supportsPKCE: undefined,
        id_token_signing_alg_values_supported: algorithms,
        // Further claims are taken as plain JSON over TLS; the token above is what identifies.
        userinfo_signing_alg_values_supported: [],
      },
      settings.clientId,
      undefined,
      authentication,
    );
    config[client.customFetch] = guardedFetch;
    for (const extend of extensions) extend(config);
    // By the standard TLS would do for a token that comes straight from the provider. A signature that is there is checked.
    client.enableNonRepudiationChecks(config);
    known = { config, dueMs: clock.monotonicMs() + DISCOVERY_MS };
    return config;
  };

  const reach = async (): Promise<Configuration> => {
    try {
      return await discover();
    } catch (error) {
      throw new AppError('oidc_unavailable', { cause: error });
    }
  };

  return {
    async addressFor({ redirectUri, verifier, nonce }, state) {
      const config = await reach();
      const client = await library();
      const url = client.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        scope: [...new Set(['openid', ...settings.scopes])].join(' '),
        code_challenge: await client.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
        state,
        nonce,
      });
      return url.href;
    },

    async finish(flow, answer) {
      const config = await reach();
      const client = await library();
      const current = new URL(flow.redirectUri);
      for (const [name, value] of Object.entries(answer))
        if (value !== undefined) current.searchParams.set(name, value);
      try {
        const tokens = await client.authorizationCodeGrant(config, current, {
          pkceCodeVerifier: flow.verifier,
          expectedState: answer.state,
          expectedNonce: flow.nonce,
          idTokenExpected: true,
        });
        const claims = tokens.claims();
        if (!claims) throw new Error('the provider sent no id_token');
        // The library takes an empty name for a name.
        if (claims.sub === '' || claims.sub.length > MAX_SUBJECT) throw new Error('the subject is empty or too long');
        const named = { ...claims } as Readonly<Record<string, unknown>>;
        const isWhole = settings.groupsClaim in named && 'preferred_username' in named;
        const hasMore = !isWhole && config.serverMetadata().userinfo_endpoint !== undefined;
        const more = hasMore ? await client.fetchUserInfo(config, tokens.access_token, claims.sub) : {};
        return accountOf({ ...more, ...named }, claims.iss, claims.sub, settings.groupsClaim);
      } catch (error) {
        // Forged and broken alike: the log has the reason, the stranger gets none.
        throw new AppError('oidc_refused', { cause: error });
      }
    },
  };
}

function accountOf(
  claims: Readonly<Record<string, unknown>>,
  issuer: string,
  subject: string,
  groupsClaim: string,
): Account {
  const { preferred_username: preferred } = claims;
  const groups = claims[groupsClaim];
  return {
    issuer,
    subject,
    preferredName: typeof preferred === 'string' ? preferred : null,
    groups: Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [],
  };
}
