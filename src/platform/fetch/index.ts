/** HTTP out: downloads to a sink, small texts, probes, and calls of other services' APIs, all behind one guard against reaching private machines (SSRF).
 *  Uses no proxy settings of the environment, follows at most three checked redirects, and never decompresses. */

import { type Clock, systemClock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { parseFetchUrl, shownUrl } from './address-policy.ts';
import { readBody, tooLarge } from './body.ts';
import { type Exchange, hop, openExchange } from './exchange.ts';
import { type Resolve, systemResolve } from './guarded-connect.ts';

export { parseFetchUrl } from './address-policy.ts';
export { permittedAddresses, type Resolve, systemResolve } from './guarded-connect.ts';

export interface FetchLimits {
  /** Lookup, connection, TLS and response headers of one hop. Default 30 s. */
  readonly headersMs: number;
  /** Silence that ends a transfer. Default 30 s. */
  readonly idleMs: number;
  /** A transfer slower than `minBytesPerSecond` (default 1 KiB) over `rateWindowMs` (default 60 s) ends. */
  readonly rateWindowMs: number;
  readonly minBytesPerSecond: number;
  /** The whole of a text or probe, redirects included. Default 60 s. */
  readonly textMs: number;
}

const DEFAULT_LIMITS: FetchLimits = {
  headersMs: 30_000,
  idleMs: 30_000,
  rateWindowMs: 60_000,
  minBytesPerSecond: 1024,
  textMs: 60_000,
};

export interface FetcherOptions {
  /** Hosts that may be private, from `images.allowPrivateHosts`: `mirror.lan`, `mirror.lan:8080`, `10.0.0.5`, `[fd00::5]:8080`.
   *  A name allows private, loopback and ULA answers; link-local needs the literal address. */
  readonly allowPrivateHosts: readonly string[];
  readonly resolve?: Resolve;
  /** Key of the configuration that `allowPrivateHosts` comes from, for the hint; `images.allowPrivateHosts` unless said. */
  readonly allowKey?: string;
  /** Certificate authorities (PEM) to trust instead of Node's own list. */
  readonly ca?: string;
  readonly limits?: Partial<FetchLimits>;
  readonly clock?: Clock;
}

/** What is known before the first byte. */
export interface DownloadFacts {
  /** Where the first byte given to `write` belongs. 0 means: throw away whatever an earlier attempt left. */
  readonly offset: number;
  /** Size of the whole file; null when the server does not say. */
  readonly totalBytes: number | null;
  /** What to give as `resume.validator` later; null when this file cannot be resumed safely. */
  readonly validator: string | null;
  readonly contentType: string | null;
  /** The address after redirects, without its query. */
  readonly finalUrl: string;
}

/** Where a download goes. Errors thrown here end the download and reach the caller unchanged. */
export interface DownloadSink {
  /** Called exactly once, before any byte. */
  begin(facts: DownloadFacts): Promise<void> | void;
  write(chunk: Uint8Array): Promise<void> | void;
}

export interface DownloadOptions {
  readonly url: string;
  /** Cap on the size of the whole file. */
  readonly maxBytes: number;
  readonly sink: DownloadSink;
  /** Goes on from an earlier attempt: the bytes held already and the validator that came with them. When the file has changed
   *  meanwhile, or the server cannot resume, the download begins anew at offset 0. */
  readonly resume?: { readonly offset: number; readonly validator: string };
  /** Called after each chunk with the bytes of the whole file that are there. */
  readonly onProgress?: (receivedBytes: number, totalBytes: number | null) => void;
  readonly signal?: AbortSignal;
}

export interface DownloadResult extends DownloadFacts {
  /** Size of the whole file, bytes of earlier attempts included. */
  readonly sizeBytes: number;
  readonly resumed: boolean;
}

export interface ProbeResult {
  readonly finalUrl: string;
  readonly sizeBytes: number | null;
  readonly contentType: string | null;
  readonly lastModified: string | null;
}

/** A call of another service's API. */
export interface CallOptions {
  readonly url: string;
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Of the answer. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

export interface CallResult {
  readonly status: number;
  /** The first of that name, or null. */
  header(name: string): string | null;
  readonly body: Buffer;
}

export interface Fetcher {
  /** @throws AppError `url_refused`, `address_refused`, `redirect_refused`, `download_failed`, `download_stalled`, `download_too_large`;
   *  the signal's reason; what the sink throws */
  download(options: DownloadOptions): Promise<DownloadResult>;
  /** The whole body. Errors as for `download`. */
  fetchBytes(options: {
    readonly url: string;
    readonly maxBytes: number;
    readonly signal?: AbortSignal;
  }): Promise<Buffer>;
  /** The body as UTF-8 text. Errors as for `download`. */
  fetchText(options: {
    readonly url: string;
    readonly maxBytes: number;
    readonly signal?: AbortSignal;
  }): Promise<string>;
  /** One request whose answer counts whatever its status; redirects are not followed. Errors as for `download`. */
  call(options: CallOptions): Promise<CallResult>;
  /** Asks for the headers only (HEAD, or the first byte where HEAD is not served). Errors as for `download`. */
  probe(options: { readonly url: string; readonly signal?: AbortSignal }): Promise<ProbeResult>;
}

/** A strong ETag, else the modification date: only these make `If-Range` safe. */
function validatorOf(exchange: Exchange): string | null {
  const etag = exchange.header('etag');
  if (etag?.startsWith('"')) return etag;
  return exchange.header('last-modified');
}

function lengthOf(exchange: Exchange): number | null {
  const text = exchange.header('content-length');
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** `bytes 100-199/200` as its first byte and total; null when it is not of that form. */
function contentRangeOf(exchange: Exchange): { first: number | null; total: number | null } | null {
  const match = /^bytes (?:(\d{1,15})-\d{1,15}|\*)\/(\d{1,15}|\*)$/.exec(exchange.header('content-range') ?? '');
  if (!match) return null;
  return { first: match[1] === undefined ? null : Number(match[1]), total: match[2] === '*' ? null : Number(match[2]) };
}

function statusError(exchange: Exchange): AppError {
  const meaning: Readonly<Record<number, string>> = {
    401: 'it wants a sign-in',
    403: 'access is not allowed',
    404: 'the file is not there',
    410: 'the file is gone',
    429: 'too many requests',
  };
  const { status, url } = exchange;
  return new AppError('download_failed', {
    detail: `${url.host} answered ${status} for ${shownUrl(url)}${meaning[status] ? `: ${meaning[status]}` : ''}.`,
    params: { status, host: url.host },
  });
}

export function createFetcher(options: FetcherOptions): Fetcher {
  const { allowPrivateHosts, resolve = systemResolve, ca, clock = systemClock } = options;
  const { allowKey = 'images.allowPrivateHosts' } = options;
  const limits: FetchLimits = { ...DEFAULT_LIMITS, ...options.limits };
  const bodyLimits = (maxBytes: number) => ({ ...limits, maxBytes });

  const common = {
    allowPrivateHosts,
    resolve,
    allowKey,
    headersMs: limits.headersMs,
    ...(ca === undefined ? {} : { ca }),
  };

  const open = (url: string, method: 'GET' | 'HEAD', headers: Readonly<Record<string, string>>, signal: AbortSignal) =>
    openExchange({ ...common, url, method, headers, signal });

  /** Opens the body at the wanted offset, or anew when that cannot be had. `complete` means that nothing is missing. */
  const openDownload = async (
    { url, resume }: DownloadOptions,
    signal: AbortSignal,
  ): Promise<{ exchange: Exchange; offset: number; complete: boolean }> => {
    if (resume === undefined || resume.offset === 0)
      return { exchange: await open(url, 'GET', {}, signal), offset: 0, complete: false };
    const exchange = await open(url, 'GET', { range: `bytes=${resume.offset}-`, 'if-range': resume.validator }, signal);
    const range = contentRangeOf(exchange);
    if (exchange.status === 206 && range?.first === resume.offset && validatorOf(exchange) === resume.validator) {
      return { exchange, offset: resume.offset, complete: false };
    }
    if (exchange.status === 416 && range?.total === resume.offset)
      return { exchange, offset: resume.offset, complete: true };
    if (exchange.status !== 206 && exchange.status !== 416) return { exchange, offset: 0, complete: false };
    exchange.close();
    return { exchange: await open(url, 'GET', {}, signal), offset: 0, complete: false };
  };

  const download = async (request: DownloadOptions): Promise<DownloadResult> => {
    const signal = request.signal ?? new AbortController().signal;
    const { exchange, offset, complete } = await openDownload(request, signal);
    try {
      const expected = offset > 0 ? 206 : 200;
      if (!complete && exchange.status !== expected) throw statusError(exchange);
      const length = lengthOf(exchange);
      const totalBytes = complete ? offset : length === null ? null : offset + length;
      if (offset > request.maxBytes || (totalBytes ?? 0) > request.maxBytes) throw tooLarge(exchange, request.maxBytes);
      const facts: DownloadFacts = {
        offset,
        totalBytes,
        validator: complete ? (request.resume?.validator ?? null) : validatorOf(exchange),
        contentType: exchange.header('content-type'),
        finalUrl: shownUrl(exchange.url),
      };
      await request.sink.begin(facts);
      let sizeBytes = offset;
      if (!complete) {
        for await (const chunk of readBody(exchange, bodyLimits(request.maxBytes - offset), clock, signal)) {
          await request.sink.write(chunk);
          sizeBytes += chunk.byteLength;
          request.onProgress?.(sizeBytes, totalBytes);
        }
      }
      return { ...facts, sizeBytes, resumed: offset > 0 };
    } finally {
      exchange.close();
    }
  };

  /** Runs short work under `textMs`; the signal passed on ends it from outside too. */
  const short = async <T>(
    url: string,
    outer: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> => {
    const deadline = new AbortController();
    const timer = setTimeout(() => {
      deadline.abort(
        new AppError('download_stalled', {
          detail: `${URL.parse(url)?.host ?? 'The server'} took longer than ${limits.textMs / 1000} s.`,
        }),
      );
    }, limits.textMs);
    try {
      return await work(outer === undefined ? deadline.signal : AbortSignal.any([outer, deadline.signal]));
    } finally {
      clearTimeout(timer);
    }
  };

  const fetchBytes: Fetcher['fetchBytes'] = ({ url, maxBytes, signal: outer }) =>
    short(url, outer, async (signal) => {
      const exchange = await open(url, 'GET', {}, signal);
      try {
        if (exchange.status !== 200) throw statusError(exchange);
        const chunks: Uint8Array[] = [];
        for await (const chunk of readBody(exchange, bodyLimits(maxBytes), clock, signal)) chunks.push(chunk);
        return Buffer.concat(chunks);
      } finally {
        exchange.close();
      }
    });

  return {
    download,
    fetchBytes,
    fetchText: async (request) => (await fetchBytes(request)).toString('utf8'),
    call: ({ url, method, headers = {}, body, maxBytes, signal: outer }) =>
      short(url, outer, async (signal) => {
        const exchange = await hop(parseFetchUrl(url), {
          ...common,
          url,
          method,
          headers,
          signal,
          ...(body === undefined ? {} : { sent: body }),
        });
        try {
          const chunks: Uint8Array[] = [];
          if (method !== 'HEAD')
            for await (const chunk of readBody(exchange, bodyLimits(maxBytes), clock, signal)) chunks.push(chunk);
          return { status: exchange.status, header: exchange.header, body: Buffer.concat(chunks) };
        } finally {
          exchange.close();
        }
      }),
    probe: ({ url, signal: outer }) =>
      short(url, outer, async (signal) => {
        let exchange = await open(url, 'HEAD', {}, signal);
        // Some mirrors serve no HEAD; the first byte tells as much.
        if (exchange.status === 403 || exchange.status === 405 || exchange.status === 501) {
          exchange.close();
          exchange = await open(url, 'GET', { range: 'bytes=0-0' }, signal);
        }
        exchange.close();
        if (exchange.status !== 200 && exchange.status !== 206) throw statusError(exchange);
        return {
          finalUrl: shownUrl(exchange.url),
          sizeBytes: exchange.status === 206 ? (contentRangeOf(exchange)?.total ?? null) : lengthOf(exchange),
          contentType: exchange.header('content-type'),
          lastModified: exchange.header('last-modified'),
        };
      }),
  };
}
