/** An identity provider that says what a real one never would: the test chooses header, claims and signature of each id_token. */

import { createHmac, createSign, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Claims = Readonly<Record<string, unknown>>;

/** What the token endpoint knows when it makes a token. */
export interface TokenRequest {
  readonly issuer: string;
  readonly clientId: string;
  /** As the browser brought it to the sign-in page. */
  readonly nonce: string;
  readonly form: URLSearchParams;
}

export interface ForgingProvider {
  readonly issuer: string;
  readonly clientId: string;
  /** Its true key, whose public half stands in its key list. */
  readonly key: KeyObject;
  readonly publicPem: string;
  readonly kid: string;
  /** Claims that a right token has. */
  rightClaims(request: TokenRequest): Claims;
  /** A token signed as it should be. */
  rightToken(claims: Claims): string;
  /** Chooses the id_token of the answers to come; null = none. */
  answerWith(make: (request: TokenRequest) => string | null): void;
  /** Further claims that its user information has. */
  userInfo: Claims;
  /** The sign-in page, in short: takes the address and says which code comes back. */
  visit(url: string): { readonly state: string; readonly code: string };
  /** Forms that the token endpoint got. */
  readonly asked: readonly URLSearchParams[];
  close(): Promise<void>;
}

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JWT of any header; the signature is given as bytes of any kind. */
export function makeToken(header: Claims, claims: Claims, signature: (input: string) => Buffer): string {
  const input = `${encoded(header)}.${encoded(claims)}`;
  return `${input}.${signature(input).toString('base64url')}`;
}

export const rs256 = (key: KeyObject) => (input: string) => createSign('sha256').update(input).sign(key);
export const hs256 = (secret: string) => (input: string) => createHmac('sha256', secret).update(input).digest();
export const es256 = (key: KeyObject) => (input: string) =>
  sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });

export async function startForgingProvider(extra: Claims = {}): Promise<ForgingProvider> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const clientId = 'hyper';
  const kid = 'key-1';
  const jwk: JsonWebKey & { kid?: string; use?: string } = { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' };
  const challenges = new Map<string, { readonly nonce: string; readonly challenge: string }>();
  const asked: URLSearchParams[] = [];
  let codes = 0;
  let make: (request: TokenRequest) => string | null = (request) => provider.rightToken(provider.rightClaims(request));
  let issuer = '';

  const server = createServer((request, response) => {
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    const path = request.url?.split('?')[0];
    if (path === '/.well-known/openid-configuration')
      return json(200, {
        issuer,
        authorization_endpoint: `${issuer}/authorize`,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        userinfo_endpoint: `${issuer}/userinfo`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256', 'ES256', 'HS256', 'none'],
        ...extra,
      });
    if (path === '/jwks') return json(200, { keys: [jwk] });
    if (path === '/userinfo') return json(200, { sub: 'subject-1', ...provider.userInfo });
    let body = '';
    request.on('data', (part: Buffer) => {
      body += part.toString();
    });
    request.on('end', () => {
      const form = new URLSearchParams(body);
      asked.push(form);
      const { nonce = '' } = challenges.get(form.get('code') ?? '') ?? {};
      const idToken = make({ issuer, clientId, nonce, form });
      json(200, { access_token: 'a', token_type: 'Bearer', ...(idToken === null ? {} : { id_token: idToken }) });
    });
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const provider: ForgingProvider = {
    issuer,
    clientId,
    key: privateKey,
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    kid,
    asked,
    userInfo: {},
    rightClaims: ({ nonce }) => {
      const now = Math.floor(Date.now() / 1000);
      return {
        iss: issuer,
        aud: clientId,
        sub: 'subject-1',
        iat: now,
        exp: now + 300,
        nonce,
        preferred_username: 'ada',
        groups: ['staff'],
      };
    },
    rightToken: (claims) => makeToken({ alg: 'RS256', kid, typ: 'JWT' }, claims, rs256(privateKey)),
    answerWith: (next) => {
      make = next;
    },
    visit(url) {
      const query = new URL(url).searchParams;
      codes += 1;
      const code = `code-${codes}`;
      challenges.set(code, { nonce: query.get('nonce') ?? '', challenge: query.get('code_challenge') ?? '' });
      return { state: query.get('state') ?? '', code };
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return provider;
}
