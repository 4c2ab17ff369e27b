/** Checks that come before anything else: malformed and doubled headers, the host name, the origin, the session cookie. */

import type { IncomingMessage } from 'node:http';
import { SESSION_COOKIE } from '#features/access/index.ts';
import { AppError } from '#kernel/errors.ts';

const SINGLE_HEADERS = [
  'host',
  'content-length',
  'cookie',
  'authorization',
  'origin',
  'transfer-encoding',
  'content-type',
  'idempotency-key',
];

/** Two of a header that must be one are how requests get smuggled past a check. @throws bad_request */
export function refuseDoubledHeaders(request: IncomingMessage): void {
  const seen = new Set<string>();
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index]?.toLowerCase() ?? '';
    if (!SINGLE_HEADERS.includes(name)) continue;
    if (seen.has(name))
      throw new AppError('bad_request', {
        detail: `The header ${name} is there twice.`,
        hint: 'Send each header once.',
      });
    seen.add(name);
  }
}

/** The host must be one of ours, or a page of another site could reach us by pointing its name here. @throws wrong_host, bad_request */
export function checkHost(request: IncomingMessage, allowed: ReadonlySet<string>): string {
  const { host } = request.headers;
  if (!host) throw new AppError('bad_request', { detail: 'The Host header is missing.' });
  if (!request.url?.startsWith('/'))
    throw new AppError('bad_request', { detail: 'The request target must begin with a slash.' });
  if (!allowed.has(host.toLowerCase())) throw new AppError('wrong_host');
  return host.toLowerCase();
}

/** A change must come from our own page: browsers always send Origin with one. @throws cross_site */
export function checkOrigin(request: IncomingMessage, host: string): void {
  const { origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (origin !== `https://${host}`) throw new AppError('cross_site');
  if (site !== undefined && site !== 'same-origin') throw new AppError('cross_site');
}

/** The session secret of the cookie, or null. @throws bad_request when there are two */
export function sessionSecret(request: IncomingMessage): string | null {
  const header = request.headers.cookie;
  if (!header) return null;
  const values = header
    .split(';')
    .map((part) => part.trim())
    .filter((part) => part.startsWith(`${SESSION_COOKIE}=`))
    .map((part) => part.slice(SESSION_COOKIE.length + 1));
  if (values.length > 1)
    throw new AppError('bad_request', {
      detail: 'The session cookie is there twice.',
      hint: 'Remove the cookies of this site and sign in again.',
    });
  return values[0] || null;
}

/** The API token of the Authorization header, or null. @throws bad_request for another scheme, and for a token in the address */
export function bearerToken(request: IncomingMessage): string | null {
  // Addresses end up in logs, histories and link previews.
  if (request.url?.includes('hyp_tok-'))
    throw new AppError('bad_request', {
      detail: 'There is an API token in the address.',
      hint: 'Send it as the header `Authorization: Bearer …`, and revoke this one: addresses are logged on their way.',
    });
  const header = request.headers.authorization;
  if (header === undefined) return null;
  const [, token] = /^Bearer ([\x21-\x7e]{1,200})$/.exec(header) ?? [];
  if (token === undefined)
    throw new AppError('bad_request', { detail: 'The header Authorization must be `Bearer` and an API token.' });
  return token;
}

/** Headers of every answer on the network. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'",
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), usb=()',
};
