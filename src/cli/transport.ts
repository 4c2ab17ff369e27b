/** HTTP to hyperd: over its local sockets (the admin socket, else the operator socket), or to the machine that HV_HOST names. */

import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type ApiClient, createApiClient, type WireRequest, type WireResponse } from '#contract/client.ts';
import { hasErrno } from '#kernel/errors.ts';
import { http } from '#kernel/node-http.ts';
import { socketFolderProblem } from '#kernel/socket-path.ts';
import { EXIT } from './exit-codes.ts';
import { Failure } from './failure.ts';

/** Longest silence of the daemon within a call: the longest wait that a route offers is 30 s. */
const SILENCE_MS = 60_000;

export interface RawRequest {
  readonly method: string;
  /** With query, beginning with `/api/v1/`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Uint8Array | null;
  readonly signal?: AbortSignal | null;
}

export interface RawResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
}

export interface StreamedResponse {
  readonly status: number;
  readonly body: Readable;
}

export interface Transport {
  /** One exchange. @throws Failure exit 6 (nobody answers) or 3 (the socket is not for this user) */
  send(request: RawRequest): Promise<RawResponse>;
  /** One exchange whose answer is read as it comes; from another machine it is taken whole first. Throws as `send`. */
  open(request: RawRequest): Promise<StreamedResponse>;
  /** How a WebSocket reaches the same daemon. Throws as `send`. */
  webSocket(path: string): Promise<WebSocketTarget>;
  /** The machine that `--host` or HV_HOST names; null for this one. */
  readonly host: string | null;
  /** Whether a hyperd of this machine answers with all rights. Asks nothing of another machine. */
  isHere(): Promise<boolean>;
}

/** What the WebSocket client is given. */
export interface WebSocketTarget {
  readonly url: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** Folder of the sockets. */
export function runtimeDir(env: NodeJS.ProcessEnv): string {
  return env['HV_RUNTIME_DIR'] || '/run/hyper-nixos';
}

/** The daemon of this machine. */
export function createTransport(env: NodeJS.ProcessEnv = process.env): Transport {
  const dir = runtimeDir(env);
  const sockets = [join(dir, 'admin.sock'), join(dir, 'operator.sock')];
  const tooLong = socketFolderProblem(dir);
  let chosen: string | null = null;

  const send = async (raw: RawRequest): Promise<RawResponse> => {
    if (tooLong !== null)
      throw new Failure(tooLong.problem, { exit: EXIT.unreachable, code: 'runtime_dir_too_long', hint: tooLong.mend });
    if (chosen !== null) return exchange(chosen, raw).catch((error: unknown) => Promise.reject(explain(error, dir)));
    const refusals: unknown[] = [];
    for (const socket of sockets) {
      try {
        const response = await exchange(socket, raw);
        chosen = socket;
        return response;
      } catch (error) {
        if (!hasErrno(error, 'ENOENT', 'EACCES', 'ECONNREFUSED')) throw explain(error, dir);
        refusals.push(error);
      }
    }
    throw explain(refusals.find((error) => hasErrno(error, 'EACCES')) ?? refusals[0], dir);
  };

  return {
    send,
    webSocket: async (path) => {
      if (chosen === null) await send({ method: 'GET', path: '/api/v1/auth/session' });
      return { url: `ws+unix:${chosen ?? sockets[0] ?? ''}:${path}`, options: { headers: { host: 'localhost' } } };
    },
    host: null,
    isHere: async () => {
      // Who may not open the admin socket is not root here, and no daemon is no console either.
      const answer = await send({ method: 'GET', path: '/api/v1/auth/session' }).catch(() => null);
      return answer?.status === 200 && chosen === sockets[0];
    },
    open: async (raw) => {
      if (chosen === null) await send({ method: 'GET', path: '/api/v1/auth/session' });
      const body = await begin(chosen ?? sockets[0] ?? '', raw).catch((error: unknown) =>
        Promise.reject(explain(error, dir)),
      );
      return { status: body.statusCode ?? 500, body };
    },
  };
}

/** The typed client on a transport. */
export function createClient(transport: Transport): ApiClient {
  return createApiClient(async (wire: WireRequest): Promise<WireResponse> => {
    const { status, body } = await transport.send(wire);
    return { status, body: body.toString('utf8') };
  });
}

async function exchange(socketPath: string, raw: RawRequest): Promise<RawResponse> {
  const response = await begin(socketPath, raw);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  return {
    status: response.statusCode ?? 500,
    contentType: response.headers['content-type'] ?? '',
    body: Buffer.concat(chunks),
  };
}

/** Resolves with the head of the answer. */
function begin(socketPath: string, raw: RawRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const body = raw.body ?? null;
    const length = body === null ? {} : { 'content-length': Buffer.byteLength(body) };
    const call = http.request(
      {
        socketPath,
        method: raw.method,
        path: raw.path,
        headers: { host: 'localhost', ...raw.headers, ...length },
        ...(raw.signal ? { signal: raw.signal } : {}),
      },
      resolve,
    );
    call.setTimeout(SILENCE_MS, () =>
      call.destroy(
        new Failure(`hyperd accepted the call but was silent for ${SILENCE_MS / 1000} s`, {
          exit: EXIT.unreachable,
          code: 'unreachable',
          hint: 'Look at its log; `hv up` starts it again when it has ended.',
        }),
      ),
    );
    call.on('error', reject);
    call.end(body ?? undefined);
  });
}

function explain(error: unknown, dir: string): unknown {
  if (hasErrno(error, 'EACCES', 'EPERM')) {
    return new Failure(`your user may not use hyperd's sockets in ${dir}`, {
      exit: EXIT.denied,
      code: 'denied',
      hint: 'Run it with sudo, or join the group hyper-admin or hyper-operator.',
    });
  }
  if (hasErrno(error, 'ENOENT', 'ECONNREFUSED')) {
    return new Failure(`hyperd is not running: nobody listens in ${dir}`, {
      exit: EXIT.unreachable,
      code: 'unreachable',
      hint: 'Start it with `hv up`; if it runs elsewhere, set HV_RUNTIME_DIR to its runtime folder.',
    });
  }
  if (hasErrno(error, 'ECONNRESET', 'EPIPE')) {
    return new Failure('hyperd ended the connection before it answered', {
      exit: EXIT.unreachable,
      code: 'unreachable',
      hint: 'It may be restarting: try again in a moment. `hv op list` shows what was begun.',
    });
  }
  return error;
}
