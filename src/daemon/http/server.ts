/** Binds the routes to fastify: one instance per door, the same routes behind each. */

import type { IncomingMessage, ServerOptions } from 'node:http';
import { createServer as createHttpsServer, Server as HttpsServer } from 'node:https';
import { type Duplex, Readable } from 'node:stream';
import fastifyStatic from '@fastify/static';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Page, PageRequest } from '#features/exports/index.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import { http } from '#kernel/node-http.ts';
import type { BytesReply, Identity, JsonReply, JsonTextReply } from '#platform/feature.ts';
import { SECURITY_HEADERS } from './guard.ts';
import type { Door } from './listener.ts';
import type { OpenLimit } from './open-limit.ts';
import type { Route } from './pipeline.ts';
import { fromServer, problemOf } from './problem.ts';
import { acceptWebSockets } from './websocket.ts';

const DEFAULT_BODY_BYTES = 256 * 1024;
const HEADERS_TIMEOUT_MS = 3000;
const REQUEST_TIMEOUT_MS = 300_000;
const MAX_CONNECTIONS_PER_ADDRESS = 1000;

export interface ServerParts {
  readonly door: Door;
  readonly routes: readonly Route[];
  /** Of event streams and consoles, over all doors. */
  readonly openLimit: OpenLimit;
  readonly log: Logger;
  readonly tls: { readonly certificate: string; readonly key: string } | null;
  /** Folder of the built dashboard; null on local sockets. */
  readonly webFolder: string | null;
  /** A new session cookie where one is due. */
  readonly renewedCookie: (sessionId: string) => Promise<{ readonly 'set-cookie': string } | null>;
  /** False where anybody may come by and nobody asked for it. */
  readonly servesMetrics: boolean;
  /** The answer to `/metrics`. */
  readonly metricsPage: (request: PageRequest) => Page;
  /** Problems that keep the daemon from being ready; empty = ready. */
  readonly notReady: () => readonly string[];
}

function headersOf(request: IncomingMessage): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value[0] : value]),
  );
}

function sendProblem(reply: FastifyReply, error: AppError, requestId: string): FastifyReply {
  if (error.status === 401) reply.header('www-authenticate', 'Session realm="Hyper-NixOS"');
  return reply
    .status(error.status)
    .header('cache-control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify(problemOf(error, requestId)));
}

const isBytesReply = (answer: unknown): answer is BytesReply =>
  typeof answer === 'object' && answer !== null && 'contentType' in answer && 'bytes' in answer;
const isJsonReply = (answer: unknown): answer is JsonReply<unknown> =>
  typeof answer === 'object' && answer !== null && 'json' in answer;

const isJsonTextReply = (answer: unknown): answer is JsonTextReply =>
  typeof answer === 'object' && answer !== null && 'jsonText' in answer;

function rawServer(tls: ServerParts['tls'], handler: (request: IncomingMessage, reply: never) => void) {
  const options: ServerOptions = {
    maxHeaderSize: 16_384,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: 30_000,
    connectionsCheckingInterval: 1000,
    insecureHTTPParser: false,
    // Our own guard answers a missing Host, in the form of every other refusal.
    requireHostHeader: false,
  };
  const listener = handler as (request: IncomingMessage, reply: unknown) => void;
  return tls
    ? createHttpsServer({ ...options, ...secureOptions(tls), handshakeTimeout: 5000 }, listener)
    : http.createServer(options, listener);
}

const secureOptions = ({ certificate, key }: NonNullable<ServerParts['tls']>) => ({
  cert: certificate,
  key,
  minVersion: 'TLSv1.3' as const,
});

/** Shows this certificate from the next handshake on; established connections go on. */
export function useCertificate(app: FastifyInstance, tls: NonNullable<ServerParts['tls']>): void {
  if (app.server instanceof HttpsServer) app.server.setSecureContext(secureOptions(tls));
}

/** What cannot be parsed as HTTP reaches no route; it is answered in our own words all the same, and the connection ends
 *  with the answer, whatever the other side does. */
function answerBrokenRequest(error: Error & { code?: string }, socket: Duplex): void {
  const answer = answerToBroken(error.code ?? '');
  // Also TLS handshakes that fail or never end come here: nothing written to those would ever leave.
  if (answer === null || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, detail } = answer;
  const body = JSON.stringify({ ...problemOf(new AppError('bad_request', { detail }), newId('req')), status });
  socket.end(
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n` +
      `x-content-type-options: nosniff\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

/** @param code of Node's HTTP parser and server; null when there is no one to answer */
function answerToBroken(code: string): { readonly status: number; readonly detail: string } | null {
  if (code === 'HPE_HEADER_OVERFLOW') return { status: 431, detail: 'The headers are too large; 16 KiB are taken.' };
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return { status: 408, detail: 'The request did not arrive in time.' };
  if (code.startsWith('HPE_')) return { status: 400, detail: 'This is not a well-formed HTTP request.' };
  return null;
}

/** No route hands fastify a schema. */
const noSchemas = () => () => {
  throw new TypeError('routes are checked by the contract, not by schemas of fastify');
};

/** Makes the server of one door; the caller listens and closes. */
export async function createServer(parts: ServerParts): Promise<FastifyInstance> {
  const { door, routes, log } = parts;
  const connections = new Map<string, number>();
  const app = fastify({
    bodyLimit: DEFAULT_BODY_BYTES,
    // Every body goes through a strict schema, which names such a key in its refusal; nothing here merges objects.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    genReqId: () => newId('req'),
    // Bodies are checked by the contract; without these fastify would load its own validator and serializer (100 files).
    schemaController: { compilersFactory: { buildValidator: noSchemas, buildSerializer: noSchemas } },
    routerOptions: { maxParamLength: 300, caseSensitive: true },
    return503OnClosing: true,
    clientErrorHandler: (error, socket) => answerBrokenRequest(error, socket),
    forceCloseConnections: true,
    // A path that the router cannot read comes past all hooks, and would be answered in the library's own words.
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id);
      if (door.name === 'network') reply.headers(SECURITY_HEADERS);
      sendProblem(reply, fromServer(error), request.id);
    },
    serverFactory: (handler) => {
      const server = rawServer(parts.tls, handler);
      server.on('connection', (socket: Duplex & { remoteAddress?: string }) => {
        const address = socket.remoteAddress;
        if (!address) return;
        const count = (connections.get(address) ?? 0) + 1;
        connections.set(address, count);
        socket.on('close', () => {
          const left = (connections.get(address) ?? 1) - 1;
          if (left > 0) connections.set(address, left);
          else connections.delete(address);
        });
        if (count > MAX_CONNECTIONS_PER_ADDRESS) socket.destroy();
      });
      return server;
    },
  });

  // Text bodies would let a form of another site through; JSON and upload bytes are all we take.
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser('application/offset+octet-stream', (_request, payload, done) => done(null, payload));

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (door.name === 'network') reply.headers(SECURITY_HEADERS);
    // Also pages, files and paths that are not there answer only under our own names.
    if (!request.url.startsWith('/api/')) door.identify(request.raw, false);
  });
  app.addHook('onResponse', async (request, reply) => {
    const fields = {
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url ?? null,
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime),
      door: door.name,
    };
    if (reply.statusCode >= 500) log.warn(fields, 'request');
    else log.debug(fields, 'request');
  });
  app.setErrorHandler((error, request, reply) => {
    const problem = fromServer(error);
    if (problem.status >= 500) log.error({ requestId: request.id, err: problem.cause ?? problem }, problem.message);
    return sendProblem(reply, problem, request.id);
  });
  // Every page of the dashboard is the same document; its own router reads the path.
  app.setNotFoundHandler((request, reply) => {
    const isPage =
      parts.webFolder !== null &&
      request.method === 'GET' &&
      !request.url.startsWith('/api/') &&
      !/\.\w{1,8}$/.test(request.url.replace(/\?.*/s, ''));
    if (isPage) return reply.header('cache-control', 'no-cache').sendFile('index.html');
    const problem = new AppError('not_found', {
      detail: 'There is no such path.',
      hint: 'See /api/v1/openapi.json.',
    });
    return sendProblem(reply, problem, request.id);
  });

  const addressOf = (request: IncomingMessage): string | null =>
    door.name === 'network' ? (request.socket.remoteAddress ?? 'unknown') : null;

  for (const route of routes.filter(({ definition }) => definition.raw !== 'websocket')) {
    const [method = 'GET', path = ''] = route.key.split(' ');
    app.route({
      method: method as 'GET',
      url: `/api/v1${path.replace(/\{(\w+)\}/g, ':$1')}`,
      bodyLimit:
        route.definition.raw === 'upload'
          ? Number.MAX_SAFE_INTEGER
          : (route.definition.maxBodyBytes ?? DEFAULT_BODY_BYTES),
      // Who asks is settled before a byte of the body is read, so strangers cannot make us buffer anything.
      onRequest: async (request) => {
        request.asker = await route.enter({
          identify: () => door.identify(request.raw, route.isChange),
          address: addressOf(request.raw),
          requestId: request.id,
        });
      },
      handler: async (request, reply) => answer(route, request, reply),
    });
  }

  const rawRequestOf = (request: FastifyRequest, signal: AbortSignal) => ({
    params: request.params,
    query: request.query,
    body: bodyOf(request),
    identity: request.asker,
    address: addressOf(request.raw),
    requestId: request.id,
    url: request.url,
    headers: headersOf(request.raw),
    signal,
    stream: request.body instanceof Readable ? request.body : null,
  });

  const answer = async (route: Route, request: FastifyRequest, reply: FastifyReply) => {
    const gone = new AbortController();
    reply.raw.on('close', () => gone.abort());
    const result = await route.run(rawRequestOf(request, gone.signal));
    const sessionId = request.asker?.sessionId ?? null;
    // What was asked for is done by now: a secret that cannot be renewed is renewed with the next answer.
    const renewed =
      sessionId === null
        ? null
        : await parts.renewedCookie(sessionId).catch((error: unknown) => {
            log.debug({ requestId: request.id, err: error }, 'the secret of a session was not renewed');
            return null;
          });
    if (renewed) reply.headers(renewed);
    if (isBytesReply(result)) {
      reply
        .status(result.status ?? 200)
        .type(result.contentType)
        .header('cache-control', 'no-store')
        .headers(result.headers ?? {});
      return reply.send(
        typeof result.bytes === 'string' || result.bytes instanceof Readable ? result.bytes : Buffer.from(result.bytes),
      );
    }
    if (isJsonTextReply(result))
      return reply
        .header('cache-control', 'no-store')
        .header('content-type', 'application/json; charset=utf-8')
        .send(result.jsonText);
    const { json, headers } = isJsonReply(result) ? result : { json: result, headers: undefined };
    for (const [name, value] of Object.entries(headers ?? {})) reply.header(name, value);
    reply.header('cache-control', 'no-store');
    if (json === undefined) return reply.status(route.definition.status ?? 204).send();
    return reply
      .status(route.definition.status ?? 200)
      .type('application/json')
      .send(typeof json === 'string' ? json : JSON.stringify(json));
  };

  app.get('/healthz', async (_request, reply) => reply.type('text/plain').send('ok\n'));
  app.get('/readyz', async (_request, reply) => {
    const problems = parts.notReady();
    return reply
      .status(problems.length === 0 ? 200 : 503)
      .type('text/plain')
      .send(
        problems.length === 0
          ? 'ready\n'
          : `not ready: ${door.name === 'network' ? 'starting' : problems.join('; ')}\n`,
      );
  });
  app.get('/metrics', async (request, reply) => {
    const identity = door.identify(request.raw, false);
    if (!identity) throw new AppError('not_signed_in');
    if (!parts.servesMetrics) throw new AppError('metrics_not_served');
    const { compat } = z.object({ compat: z.unknown().optional() }).parse(request.query);
    const { contentType, body } = parts.metricsPage({ identity, accept: request.headers.accept ?? null, compat });
    return reply.header('cache-control', 'no-store').type(contentType).send(body);
  });

  if (parts.webFolder !== null) {
    await app.register(fastifyStatic, {
      root: parts.webFolder,
      index: false,
      wildcard: true,
      preCompressed: true,
      setHeaders: (reply, path) => {
        reply.header('cache-control', path.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    });
  }

  const closeWebSockets = acceptWebSockets({
    server: app.server,
    door,
    log,
    openLimit: parts.openLimit,
    routes: routes.filter(({ definition }) => definition.raw === 'websocket'),
  });
  app.addHook('preClose', closeWebSockets);
  return app;
}

/** The JSON body; the bytes of an upload are handed over as a stream instead. */
const bodyOf = (request: FastifyRequest): unknown => (request.body instanceof Readable ? undefined : request.body);

declare module 'fastify' {
  interface FastifyRequest {
    asker: Identity | null;
  }
}
