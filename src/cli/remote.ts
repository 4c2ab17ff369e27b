/** HTTPS to a hyperd on another machine. Nothing is sent before the certificate is the one that was pinned at the first sign-in. */

import { type RequestOptions, request } from 'node:https';
import { isIP } from 'node:net';
import { connect, rootCertificates, type TLSSocket } from 'node:tls';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';
import type { RawRequest, RawResponse } from './transport.ts';

const SILENCE_MS = 60_000;
const CONNECT_MS = 10_000;

export interface Presented {
  /** SHA-256, upper-case pairs with colons. */
  readonly fingerprint: string;
  /** PEM to check later certificates against. */
  readonly authority: string;
  /** A public authority that every system trusts vouches for it. */
  readonly isVouched: boolean;
}

export interface RemoteResponse extends RawResponse {
  /** Of the certificate under which this very answer came. */
  readonly fingerprint: string;
  /** `name=value` of a cookie that was set, an empty value when it was taken away; null when none was. */
  readonly cookie: string | null;
}

const withoutBrackets = (host: string): string => host.replace(/^\[|\]$/g, '');

/** What TLS needs to reach an origin; for HTTPS and WebSockets alike.
 *  @param authority the only one that counts; null = any public one */
export function tlsOptions(origin: string, authority: string | null) {
  const host = withoutBrackets(new URL(origin).hostname);
  return {
    ca: authority === null ? [...rootCertificates] : [authority],
    // A certificate that was pinned itself, without its authority.
    allowPartialTrustChain: authority !== null,
    minVersion: 'TLSv1.3' as const,
    ...(isIP(host) ? {} : { servername: host }),
  };
}

/** What stands at an address, without telling it anything. @throws Failure exit 6 */
export function presentedBy(origin: string): Promise<Presented> {
  const url = new URL(origin);
  const host = withoutBrackets(url.hostname);
  return new Promise((resolve, reject) => {
    const socket: TLSSocket = connect({
      host,
      port: Number(url.port || 443),
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ...(isIP(host) ? {} : { servername: host }),
    });
    const fail = (error: unknown) => {
      socket.destroy();
      reject(explainRemote(error, origin));
    };
    socket.setTimeout(CONNECT_MS, () => fail(new Error(`no answer within ${CONNECT_MS / 1000} s`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const leaf = socket.getPeerX509Certificate();
      const isVouched = socket.authorized;
      const issuer = leaf?.issuerCertificate;
      // Only an authority that signed this very certificate is worth remembering.
      const isSigned =
        leaf !== undefined && issuer !== undefined && leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey);
      socket.destroy();
      if (leaf)
        resolve({
          fingerprint: leaf.fingerprint256,
          authority: (isSigned && issuer ? issuer : leaf).toString(),
          isVouched,
        });
      else reject(explainRemote(new Error('it shows no certificate'), origin));
    });
  });
}

export interface Remote {
  readonly origin: string;
  readonly authority: string | null;
  /** `name=value`, or null before the sign-in. */
  readonly cookie: string | null;
}

/** One exchange. @throws Failure exit 6 when it cannot be reached or shows another certificate */
export function exchangeRemote({ origin, authority, cookie }: Remote, raw: RawRequest): Promise<RemoteResponse> {
  const url = new URL(origin);
  const body = raw.body ?? null;
  const options: RequestOptions = {
    ...tlsOptions(origin, authority),
    host: withoutBrackets(url.hostname),
    port: Number(url.port || 443),
    method: raw.method,
    path: raw.path,
    // Each exchange has its own handshake: the fingerprint is that of this answer's connection.
    agent: false,
    headers: {
      host: url.host,
      origin,
      'user-agent': 'hv',
      ...raw.headers,
      ...(cookie === null ? {} : { cookie }),
      ...(body === null ? {} : { 'content-length': Buffer.byteLength(body) }),
    },
    ...(raw.signal ? { signal: raw.signal } : {}),
  };
  return new Promise((resolve, reject) => {
    const call = request(options, (response) => {
      const chunks: Buffer[] = [];
      const { socket } = response;
      const leaf = 'getPeerX509Certificate' in socket ? (socket as TLSSocket).getPeerX509Certificate() : undefined;
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', (error) => reject(explainRemote(error, origin)));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 500,
          contentType: response.headers['content-type'] ?? '',
          body: Buffer.concat(chunks),
          fingerprint: leaf?.fingerprint256 ?? '',
          cookie: response.headers['set-cookie']?.[0]?.split(';')[0] ?? null,
        }),
      );
    });
    call.setTimeout(SILENCE_MS, () => call.destroy(new Error(`silent for ${SILENCE_MS / 1000} s`)));
    call.on('error', (error) => reject(explainRemote(error, origin)));
    call.end(body ?? undefined);
  });
}

/** Codes of Node and OpenSSL for a certificate that is not to be trusted. */
const BAD_CERTIFICATE = /^((DEPTH_ZERO_)?SELF_SIGNED_CERT.*|UNABLE_TO_.*|CERT_.*)$/;

function explainRemote(error: unknown, origin: string): unknown {
  if (error instanceof Failure) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return new Failure(`the certificate at ${origin} is not for that name`, {
      exit: EXIT.unreachable,
      code: 'certificate_other_name',
      hint: 'Use the address that `hv status` prints there, or add the name to `publicNames` in its configuration.',
    });
  if (BAD_CERTIFICATE.test(code))
    return new Failure(`${origin} shows a certificate that is not the one you trusted (${code})`, {
      exit: EXIT.unreachable,
      code: 'certificate_changed',
      hint: `Nothing was sent. If it was made anew on purpose, compare with what \`hv status\` prints there and run: hv login --url ${origin} --fingerprint SHA256`,
    });
  if (hasErrno(error, 'ABORT_ERR')) return error;
  return new Failure(`${origin} cannot be reached: ${code || messageOf(error)}`, {
    exit: EXIT.unreachable,
    code: 'unreachable',
    hint: 'Check address and port, and that hyperd listens there (`hv status` on the machine).',
  });
}
