/** A real identity provider (oidc-provider) over TLS on loopback, with accounts that the test makes up and pages that a browser can use. */

import { generateKeyPairSync } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import { Provider } from 'oidc-provider';
import { makeCertificates } from './certificates.ts';

export interface Account {
  readonly groups: readonly string[];
  readonly preferred_username: string;
}

export interface IdentityProvider {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Authority of its certificate. */
  readonly caFile: string;
  /** By subject, which is also the login on its pages; changed by the test as it likes. */
  readonly accounts: Map<string, Account>;
  close(): Promise<void>;
}

/** @param dir for its certificates
 *  @param port that is free; the issuer is named before anything listens
 *  @param redirectUri of our dashboard */
export async function startIdentityProvider(
  dir: string,
  port: number,
  redirectUri: string,
  algorithm: 'RS256' | 'ES256' | 'EdDSA' = 'RS256',
): Promise<IdentityProvider> {
  const certificates = await makeCertificates(dir, 'localhost');
  const issuer = `https://localhost:${port}`;
  const accounts = new Map<string, Account>();
  const [clientId, clientSecret] = ['hyper-nixos', 'a-secret-of-the-client-with-enough-length'];
  const { privateKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : algorithm === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519');
  const jwk = { ...privateKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: algorithm };
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        id_token_signed_response_alg: algorithm,
      },
    ],
    jwks: { keys: [jwk] } as never,
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    pkce: { required: () => true },
    scopes: ['openid', 'profile', 'groups'],
    claims: { openid: ['sub'], profile: ['preferred_username'], groups: ['groups'] },
    // Its pages for development: any login and password; they carry who signs in.
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['a key for cookies'] },
    findAccount: (_context, sub) => ({
      accountId: sub,
      claims: async () => ({ sub, ...accounts.get(sub) }),
    }),
  });
  const [cert, key] = await Promise.all([readFile(certificates.hostCertFile), readFile(certificates.hostKeyFile)]);
  const server = createServer({ cert, key }, provider.callback());
  await new Promise<void>((resolve) => server.listen(port, 'localhost', resolve));
  return {
    issuer,
    clientId,
    clientSecret,
    caFile: certificates.caFile,
    accounts,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
