/** Many requests to one server that an administrator named: some connections that stay open, each request with deadlines of its own. Follows
 *  no redirects. The server may have a private address, because it was named; what else a name leads to is refused as everywhere. */

import type { Pool } from 'undici';
import { AppError } from '#kernel/errors.ts';
import { toFetchError } from './exchange.ts';
import { guardedConnect, systemResolve } from './guarded-connect.ts';

export interface KeptOptions {
  /** Its path is not used. */
  readonly url: URL;
  /** Certificate authorities (PEM) to trust instead of Node's own list. */
  readonly ca?: string | undefined;
  readonly connections: number;
  /** Silence before the answer, and within it. What is sent has more time: see `SLOWEST_BYTES_PER_SECOND`. */
  readonly idleMs: number;
  /** Ends them for good, and at once what is under way. */
  readonly signal?: AbortSignal | undefined;
}

export interface KeptRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Of the answer. */
  readonly maxBytes: number;
}

export interface KeptAnswer {
  readonly status: number;
  header(name: string): string | null;
  /** Null = it is longer than `maxBytes`. */
  readonly body: Buffer | null;
}

export interface KeptConnections {
  /** @throws AppError address_refused, download_failed, download_stalled; the signal's reason */
  request(request: KeptRequest): Promise<KeptAnswer>;
  /** What is under way fails at once with download_failed; the next request opens them again. */
  close(): Promise<void>;
}

/** A line that is slower counts as stalled. Where a body is between here and there nobody tells, and it shares the line with those of all
 *  other connections. */
const SLOWEST_BYTES_PER_SECOND = 32 * 1024;

export function createKeptConnections({ url, ca, connections, idleMs, signal }: KeptOptions): KeptConnections {
  let opening: Promise<Pool> | null = null;
  const open = async () => {
    // Loaded with the first request, as in `exchange.ts`.
    const { Pool: UndiciPool } = await import('undici');
    return new UndiciPool(url.origin, {
      connections,
      pipelining: 1,
      allowH2: false,
      headersTimeout: idleMs,
      bodyTimeout: idleMs,
      keepAliveTimeout: 10_000,
      connect: (_target, callback) => {
        guardedConnect({
          url,
          allowPrivateHosts: [url.host],
          resolve: systemResolve,
          allowKey: 'backups',
          signal: AbortSignal.any([...(signal ? [signal] : []), AbortSignal.timeout(idleMs)]),
          ...(ca === undefined ? {} : { ca }),
        }).then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
        );
      },
    });
  };

  return {
    async request({ method, path, headers, body, maxBytes }) {
      const sendingMs = ((body?.length ?? 0) * connections * 1000) / SLOWEST_BYTES_PER_SECOND;
      try {
        opening ??= open();
        const pool = await opening;
        const answer = await pool.request({
          method,
          path,
          headers: { 'user-agent': 'hyper-nixos', 'accept-encoding': 'identity', ...headers },
          headersTimeout: idleMs + sendingMs,
          ...(body === undefined ? {} : { body }),
          ...(signal === undefined ? {} : { signal }),
        });
        answer.body.on('error', () => undefined);
        const header = (name: string) => {
          const value = answer.headers[name];
          return (Array.isArray(value) ? value[0] : value) ?? null;
        };
        const chunks: Buffer[] = [];
        let length = 0;
        for await (const chunk of answer.body) {
          length += chunk.length;
          if (length > maxBytes) {
            answer.body.destroy();
            return { status: answer.statusCode, header, body: null };
          }
          chunks.push(chunk);
        }
        return { status: answer.statusCode, header, body: Buffer.concat(chunks) };
      } catch (error) {
        signal?.throwIfAborted();
        if (isSilence(error))
          throw new AppError('download_stalled', {
            detail: `${url.host} gave no answer within ${Math.round((idleMs + sendingMs) / 1000)} s.`,
            cause: error,
          });
        throw toFetchError(error, url);
      }
    },
    async close() {
      const mine = opening;
      opening = null;
      await (await mine)?.destroy();
    },
  };
}

function isSilence(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? error.code : null;
  return code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT' || error.name === 'TimeoutError';
}
