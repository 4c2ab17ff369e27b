/** Signed requests to an S3 service, and what its refusals mean. Bucket and key stand in the path, which every service understands. */

import { setTimeout as sleep } from 'node:timers/promises';
import { DOMParser } from '@xmldom/xmldom';
import { AppError } from '#kernel/errors.ts';
import { createKeptConnections, type KeptAnswer, type KeptRequest } from '#platform/fetch/kept-connections.ts';
import { placeFull } from '../store/index.ts';

export interface S3Target {
  /** `https://s3.example.org`, with a port if need be. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Before all keys, without a slash at either end; empty = none. */
  readonly prefix: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Certificate authorities (PEM) of a service with its own. */
  readonly ca?: string | undefined;
  /** Days that everything is kept from being deleted by anybody; null = not at all. */
  readonly lockDays: number | null;
}

export interface S3Ask {
  readonly method: KeptRequest['method'];
  /** Empty = the bucket itself. */
  readonly key: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly maxBytes?: number;
}

export interface S3Requests {
  /** An answer with a status below 300.
   *  @throws S3Refusal for others that say something of this one request; AppError place_unreachable, place_stalled, place_refused,
   *  place_denied, place_failed, no_space */
  ask(request: S3Ask): Promise<KeptAnswer>;
  close(): Promise<void>;
}

/** What the service answered of one object: it is missing, or may not be had. */
export class S3Refusal extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const MAX_XML_BYTES = 8 * 2 ** 20;
const IDLE_MS = 60_000;
const CONNECTIONS = 8;
const TRIES = 4;
const FIRST_PAUSE_MS = 250;
/** "Later", in the words of the services. */
const AGAIN: readonly number[] = [429, 500, 502, 503, 504];
const UNKNOWN_WHO: readonly string[] = [
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'InvalidToken',
  'AuthorizationHeaderMalformed',
  'PermanentRedirect',
  'RequestTimeTooSkewed',
];
const FULL: readonly string[] = ['QuotaExceeded', 'XMinioStorageFull', 'InsufficientStorage'];

export interface S3Limits {
  /** Silence that ends a request. */
  readonly idleMs?: number | undefined;
  /** Ends the work there for good, and at once what is under way. */
  readonly signal?: AbortSignal | undefined;
}

export function createS3Requests(target: S3Target, { idleMs = IDLE_MS, signal }: S3Limits = {}): S3Requests {
  const url = new URL(target.endpoint);
  const connections = createKeptConnections({ url, ca: target.ca, connections: CONNECTIONS, idleMs, signal });
  const place = `${url.host}/${target.bucket}`;

  const once = async ({ method, key, query = {}, headers = {}, body, maxBytes = MAX_XML_BYTES }: S3Ask) => {
    // Loaded with the first request.
    const { default: aws4 } = await import('aws4');
    const asked = new URLSearchParams(query).toString().replaceAll('+', '%20');
    const path = `/${target.bucket}${key === '' ? '' : `/${key}`}${asked === '' ? '' : `?${asked}`}`;
    const signed = aws4.sign(
      {
        service: 's3',
        region: target.region,
        method,
        host: url.host,
        path,
        headers: { ...headers, ...(body === undefined ? {} : { 'Content-Length': String(body.length) }) },
        ...(body === undefined ? {} : { body }),
      },
      { accessKeyId: target.accessKey, secretAccessKey: target.secretKey },
    );
    const sent = Object.fromEntries(
      Object.entries(signed.headers ?? {}).flatMap(([name, value]) =>
        value === undefined || /^(host|content-length)$/i.test(name) ? [] : [[name.toLowerCase(), String(value)]],
      ),
    );
    return connections.request({ method, path, headers: sent, maxBytes, ...(body === undefined ? {} : { body }) });
  };

  const refused = ({ status, header, body }: KeptAnswer): Error => {
    const told = problemIn(body);
    const code = told.code === '' ? (CODES[status] ?? String(status)) : told.code;
    const cause = new S3Refusal(status, code, `${place} answered ${status} ${code}: ${told.message}`);
    if (FULL.includes(code) || status === 507) return placeFull(place, cause);
    if (UNKNOWN_WHO.includes(code) || status === 301 || status === 307) {
      const region = header('x-amz-bucket-region');
      const isElsewhere = region !== null && region !== target.region;
      return new AppError('place_refused', {
        detail: `${place} does not accept the request (${code})${isElsewhere ? `: the bucket is in the region ${region}` : ''}.`,
        ...(code === 'RequestTimeTooSkewed'
          ? { hint: 'The clocks differ: see that the one of this host is right.' }
          : {}),
        cause,
      });
    }
    if (code === 'NoSuchBucket')
      return new AppError('place_denied', {
        detail: `There is no bucket ${target.bucket} at ${url.host}.`,
        hint: 'Make the bucket over there first; with object lock, if what is copied may not be deleted for some time.',
        cause,
      });
    if (AGAIN.includes(status))
      return new AppError('place_failed', { detail: `${place} answered ${status} ${code}.`, cause });
    return cause;
  };

  return {
    async ask(request) {
      for (let tries = 1; ; tries += 1) {
        try {
          const answer = await once(request);
          if (answer.status < 300) return answer;
          if (!AGAIN.includes(answer.status) || tries === TRIES) throw refused(answer);
        } catch (error) {
          if (
            !(error instanceof AppError) ||
            !['download_failed', 'download_stalled', 'address_refused'].includes(error.code)
          )
            throw error;
          if (error.code !== 'download_failed' || tries === TRIES) throw inOurWords(error, place);
        }
        await sleep(FIRST_PAUSE_MS * 2 ** tries * (0.5 + Math.random()), null, signal === undefined ? {} : { signal });
      }
    },
    close: connections.close,
  };
}

/** Answers to HEAD have no text. */
const CODES: Readonly<Record<number, string>> = { 403: 'AccessDenied', 404: 'NoSuchKey' };

function inOurWords(error: AppError, place: string): AppError {
  const code = error.code === 'download_stalled' ? 'place_stalled' : 'place_unreachable';
  return new AppError(code, { detail: `${place} cannot be reached: ${error.message}`, cause: error });
}

function problemIn(body: Buffer | null): { readonly code: string; readonly message: string } {
  const found = body === null || body.length === 0 ? null : xmlOf(body);
  return { code: found?.text('Code') ?? '', message: found?.text('Message') ?? '' };
}

export interface Xml {
  /** Text of the first element of that name. */
  text(name: string): string | null;
  all(name: string): readonly Xml[];
}

/** @returns null for what is no XML. Entities and outside documents are not resolved by this parser. */
export function xmlOf(bytes: Buffer): Xml | null {
  try {
    const document = new DOMParser({ onError: () => undefined }).parseFromString(bytes.toString('utf8'), 'text/xml');
    return document.documentElement === null ? null : view(document.documentElement);
  } catch {
    // A proxy's page, or nothing: the status has to do.
    return null;
  }
}

type Element = NonNullable<ReturnType<DOMParser['parseFromString']>['documentElement']>;

const view = (element: Element): Xml => ({
  text: (name) => element.getElementsByTagName(name).item(0)?.textContent ?? null,
  all: (name) => Array.from(element.getElementsByTagName(name), view),
});
