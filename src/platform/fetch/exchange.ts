/** One HTTP request up to the response headers. Redirects of a GET or HEAD are followed by us, so that each hop passes the same
 *  checks; whatever carries a body is sent once, to where it was meant for. */

import type { Dispatcher } from 'undici';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import { parseFetchUrl, shownUrl } from './address-policy.ts';
import { guardedConnect, type Resolve } from './guarded-connect.ts';

export interface ExchangeOptions {
  readonly url: string;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Readonly<Record<string, string>>;
  readonly sent?: string | Uint8Array;
  readonly allowPrivateHosts: readonly string[];
  readonly resolve: Resolve;
  readonly allowKey: string;
  readonly ca?: string;
  /** Lookup, connection, TLS and response headers of one hop must be done in this time. */
  readonly headersMs: number;
  /** Ends the whole exchange, body included. Its reason is what the caller sees. */
  readonly signal: AbortSignal;
}

/** A response whose body has not been read. `close` must be called, also after the body ended. */
export interface Exchange {
  readonly url: URL;
  readonly status: number;
  header(name: string): string | null;
  readonly body: Dispatcher.ResponseData['body'];
  close(): void;
}

const MAX_REDIRECTS = 3;
const MAX_HEADER_BYTES = 16 * 1024;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** What a foreign failure means for the reader. */
function explain(error: unknown): string {
  if (hasErrno(error, 'ENOTFOUND', 'EAI_AGAIN', 'EAI_NODATA')) return 'its name cannot be looked up';
  if (hasErrno(error, 'ECONNREFUSED')) return 'it refuses the connection';
  if (hasErrno(error, 'ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET')) return 'it closed the connection early';
  if (hasErrno(error, 'ENETUNREACH', 'EHOSTUNREACH', 'ETIMEDOUT')) return 'it cannot be reached from here';
  if (hasErrno(error, 'UND_ERR_HEADERS_OVERFLOW'))
    return `its response headers are larger than ${MAX_HEADER_BYTES / 1024} KiB`;
  if (hasErrno(error, 'CERT_HAS_EXPIRED')) return 'its certificate has expired';
  if (hasErrno(error, 'ERR_TLS_CERT_ALTNAME_INVALID')) return 'its certificate is for another name';
  if (hasErrno(error, 'DEPTH_ZERO_SELF_SIGNED_CERT', 'SELF_SIGNED_CERT_IN_CHAIN', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')) {
    return 'its certificate is not signed by an authority that we know';
  }
  if (error instanceof Error && error.name === 'HTTPParserError') return 'its answer is not valid HTTP';
  if (hasErrno(error, 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH')) return 'it sent another number of bytes than announced';
  return messageOf(error);
}

/** Any failure of the transport as `download_failed`; our own errors pass. */
export function toFetchError(error: unknown, url: URL): AppError {
  if (error instanceof AppError) return error;
  return new AppError('download_failed', {
    detail: `${url.host} did not deliver ${shownUrl(url)}: ${explain(error)}.`,
    params: { host: url.host },
    cause: error,
  });
}

function headerOf(headers: Dispatcher.ResponseData['headers'], name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** Settles like `work`, or rejects with the signal's reason as soon as it is aborted. */
function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) onAbort();
  });
}

/** The request to one address; a redirect is its answer like any other.
 *  @throws AppError as `openExchange` */
export async function hop(url: URL, options: ExchangeOptions): Promise<Exchange> {
  const deadline = new AbortController();
  const timer = setTimeout(() => {
    deadline.abort(
      new AppError('download_stalled', {
        detail: `${url.host} gave no answer within ${options.headersMs / 1000} s.`,
        params: { host: url.host },
      }),
    );
  }, options.headersMs);
  const signal = AbortSignal.any([options.signal, deadline.signal]);
  // Loaded with the first download: it takes 5 MiB that most days nobody needs.
  const { Client } = await import('undici');
  const client = new Client(url.origin, {
    // Each exchange has a connection of its own, so that no later request rides on an address checked for another.
    connect: (_target, callback) => {
      guardedConnect({
        url,
        allowPrivateHosts: options.allowPrivateHosts,
        resolve: options.resolve,
        allowKey: options.allowKey,
        signal,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
      }).then(
        (socket) => callback(null, socket),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
      );
    },
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: 1,
  });
  const close = () => {
    clearTimeout(timer);
    // Destroying an already closed client rejects nothing of interest: the exchange is over.
    client.destroy().catch(() => undefined);
  };
  try {
    // While it connects, undici does not hear the signal: a lookup that never ends would hold the request for ever.
    const answer = await orAborted(
      client.request({
        method: options.method,
        path: `${url.pathname}${url.search}`,
        headers: { 'user-agent': 'hyper-nixos', accept: '*/*', 'accept-encoding': 'identity', ...options.headers },
        ...(options.sent === undefined ? {} : { body: options.sent }),
        signal,
      }),
      signal,
    );
    clearTimeout(timer);
    // The body's failure is reported to whoever reads it; unread, it must not become an uncaught exception.
    answer.body.on('error', () => undefined);
    return {
      url,
      status: answer.statusCode,
      header: (name) => headerOf(answer.headers, name),
      body: answer.body,
      close,
    };
  } catch (error) {
    close();
    if (signal.aborted) throw signal.reason;
    throw toFetchError(error, url);
  }
}

/** Follows at most three redirects, each checked like the first address; never from https to http.
 *  @throws AppError `url_refused`, `address_refused`, `redirect_refused`, `download_failed`, `download_stalled` */
export async function openExchange(options: ExchangeOptions): Promise<Exchange> {
  let url = parseFetchUrl(options.url);
  for (let redirects = 0; ; redirects += 1) {
    options.signal.throwIfAborted();
    const answer = await hop(url, options);
    if (!REDIRECTS.has(answer.status)) return answer;
    const location = answer.header('location');
    answer.close();
    if (location === null) {
      throw new AppError('download_failed', {
        detail: `${url.host} answered ${answer.status} without saying where to go.`,
      });
    }
    if (redirects === MAX_REDIRECTS) {
      throw new AppError('redirect_refused', { detail: `${url.host} redirects more than ${MAX_REDIRECTS} times.` });
    }
    const next = parseFetchUrl(location, url);
    if (url.protocol === 'https:' && next.protocol === 'http:') {
      throw new AppError('redirect_refused', { detail: `${url.host} redirects from https to plain http.` });
    }
    url = next;
  }
}
