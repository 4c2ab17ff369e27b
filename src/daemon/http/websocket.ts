/** WebSocket upgrades: checked like any request before the connection is accepted. */

import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import { AppError, toAppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { http } from '#kernel/node-http.ts';
import type { Socket } from '#platform/feature.ts';
import type { Door } from './listener.ts';
import type { OpenLimit } from './open-limit.ts';
import type { Route } from './pipeline.ts';
import { problemOf } from './problem.ts';

const MAX_MESSAGE_BYTES = 1024 * 1024;
const PING_MS = 20_000;
/** How long a client may take to say goodbye when the daemon stops. */
const CLOSE_MS = 1_000;

interface Parts {
  readonly server: Pick<Server, 'on'>;
  readonly door: Door;
  readonly log: Logger;
  readonly routes: readonly Route[];
  readonly openLimit: OpenLimit;
}

function matcherOf(route: Route): RegExp {
  const path = route.key.slice(route.key.indexOf(' ') + 1);
  return new RegExp(`^/api/v1${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]{1,300})')}$`);
}

function wellFormed<Value>(read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    throw new AppError('bad_request', { detail: 'The address is malformed.', cause: error });
  }
}

function refuse(stream: Duplex, error: AppError, requestId: string): void {
  const body = JSON.stringify(problemOf(error, requestId));
  stream.end(
    `HTTP/1.1 ${error.status} ${http.STATUS_CODES[error.status] ?? 'Error'}\r\ncontent-type: application/problem+json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

const bytesOf = (data: RawData): Uint8Array =>
  Array.isArray(data) ? Buffer.concat(data) : data instanceof ArrayBuffer ? new Uint8Array(data) : data;

function socketOf(ws: WebSocket): Socket {
  let isAlive = true;
  ws.on('pong', () => {
    isAlive = true;
  });
  const pinger = setInterval(() => {
    if (!isAlive) {
      ws.terminate();
      return;
    }
    isAlive = false;
    ws.ping();
  }, PING_MS);
  ws.on('close', () => clearInterval(pinger));
  return {
    onMessage: (listener) => void ws.on('message', (data) => listener(bytesOf(data))),
    onClose: (listener) => void ws.on('close', () => listener()),
    send: (data) => {
      if (ws.readyState === WebSocket.OPEN) ws.send(data, { binary: true });
    },
    bufferedBytes: () => ws.bufferedAmount,
    close: (code, reason) => ws.close(code, reason.slice(0, 120)),
  };
}

/** @returns the function that ends all of them; a server does not count its upgraded connections among those it closes itself */
export function acceptWebSockets({ server, door, log, routes, openLimit }: Parts): () => Promise<void> {
  const acceptor = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    perMessageDeflate: false,
    handleProtocols: (offered) => (offered.has('binary') ? 'binary' : false),
  });
  const open = new Set<WebSocket>();
  const matchers = routes.map((route) => ({ route, pattern: matcherOf(route) }));

  const handle = async (request: IncomingMessage, stream: Duplex, head: Buffer, requestId: string) => {
    const url = wellFormed(() => new URL(request.url ?? '/', 'https://local.invalid'));
    const found = matchers
      .map(({ route, pattern }) => ({ route, match: pattern.exec(url.pathname) }))
      .find(({ match }) => match !== null);
    if (!found?.match) throw new AppError('not_found', { detail: 'There is no such WebSocket.' });
    const gone = new AbortController();
    stream.once('close', () => gone.abort());
    const address = door.name === 'network' ? (request.socket.remoteAddress ?? 'unknown') : null;
    const identity = await found.route.enter({ identify: () => door.identify(request, true), address, requestId });
    // Before its ticket is spent. A connection that comes to nothing closes, and gives its place back.
    if (identity !== null) openLimit.take(identity, gone.signal);
    const accept = await found.route.run({
      params: Object.fromEntries(
        Object.entries(found.match.groups ?? {}).map(([name, value]) => [
          name,
          wellFormed(() => decodeURIComponent(value)),
        ]),
      ),
      query: Object.fromEntries(url.searchParams),
      body: undefined,
      identity,
      address,
      requestId,
      url: url.pathname,
      headers: Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
      ),
      signal: gone.signal,
      stream: null,
    });
    if (typeof accept !== 'function') throw new TypeError('a websocket route must answer with a function');
    acceptor.handleUpgrade(request, stream, head, (ws) => {
      open.add(ws);
      ws.on('close', () => open.delete(ws));
      ws.on('error', (error) => log.debug({ requestId, err: error }, 'websocket error'));
      accept(socketOf(ws));
    });
  };

  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const requestId = newId('req');
    stream.on('error', (error) => log.debug({ requestId, err: error }, 'upgrade connection failed'));
    handle(request, stream, head, requestId).catch((error: unknown) => {
      const problem = toAppError(error);
      if (problem.status >= 500) log.error({ requestId, err: error }, 'upgrade failed');
      refuse(stream, problem, requestId);
    });
  });

  return async () => {
    const closing = [...open];
    for (const ws of closing) ws.close(1001, 'The daemon stops.');
    const gone = Promise.all(closing.map((ws) => new Promise((resolve) => ws.once('close', resolve))));
    const timer = setTimeout(() => {
      for (const ws of closing) ws.terminate();
    }, CLOSE_MS);
    await gone;
    clearTimeout(timer);
  };
}
