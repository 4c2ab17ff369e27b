/** Somebody who sends requests to a real hyperd: a browser's session, an API token, a local socket, a stranger. Connections are kept. */

import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { TestDaemon } from './daemon.ts';
import { linkToken } from './link-token.ts';

export interface Question {
  readonly method?: string;
  /** Below `/api/v1`, with its query. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Asks for a WebSocket. */
  readonly isUpgrade?: boolean;
  /** The address it comes from, as 127.0.3.7. */
  readonly from?: string;
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** The body, where it is JSON. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface SentEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** An open stream of events. */
export interface Listening {
  readonly events: readonly SentEvent[];
  /** Resolves when the other side ends it. */
  readonly ended: Promise<void>;
  close(): void;
}

export interface Asker {
  ask(question: Question): Promise<Reply>;
  /** @throws Error when the stream is refused */
  listen(): Promise<Listening>;
  /** What proves who asks, for a WebSocket of one's own making. */
  proof(): Readonly<Record<string, string>>;
  close(): void;
}

/** Where the requests go and what each carries. */
interface Way {
  send(options: RequestOptions, take: (response: IncomingMessage) => void): ReturnType<typeof httpRequest>;
  proof(): Record<string, string>;
  /** Looks at each answer. */
  hear(response: IncomingMessage): void;
  close(): void;
}

const UPGRADE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
};
const ANSWER_MS = 60_000;

const contentType = (body: unknown) =>
  body instanceof Uint8Array ? 'application/offset+octet-stream' : 'application/json';

function askerOf(way: Way): Asker {
  return {
    ask: ({ method = 'GET', path, body, headers = {}, isUpgrade = false, from }) =>
      new Promise((resolve, reject) => {
        const outgoing = way.send(
          {
            method,
            path: `/api/v1${path}`,
            timeout: ANSWER_MS,
            ...(from === undefined ? {} : { localAddress: from }),
            headers: {
              ...way.proof(),
              ...(body === undefined ? {} : { 'content-type': contentType(body) }),
              ...(isUpgrade ? UPGRADE : {}),
              ...headers,
            },
          },
          (response) => {
            way.hear(response);
            const parts: Buffer[] = [];
            response.on('data', (part: Buffer) => parts.push(part));
            response.on('error', reject);
            response.on('end', () => {
              const text = Buffer.concat(parts).toString('utf8');
              const isJson = /[/+]json(;|$)/.test(response.headers['content-type'] ?? '') && text !== '';
              resolve({
                status: response.statusCode ?? 0,
                headers: response.headers,
                text,
                json: isJson ? JSON.parse(text) : {},
              });
            });
          },
        );
        outgoing.on('upgrade', (response, socket) => {
          socket.destroy();
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text: '', json: {} });
        });
        outgoing.on('timeout', () => outgoing.destroy(new Error(`${method} ${path}: no answer`)));
        outgoing.on('error', reject);
        outgoing.end(body === undefined || body instanceof Uint8Array ? body : JSON.stringify(body));
      }),

    listen: () =>
      new Promise((resolve, reject) => {
        const outgoing = way.send({ method: 'GET', path: '/api/v1/events', headers: way.proof() }, (response) => {
          if (response.statusCode !== 200) {
            response.resume();
            reject(new Error(`the stream was answered with ${response.statusCode}`));
            return;
          }
          const events: SentEvent[] = [];
          let text = '';
          response.on('data', (part: Buffer) => {
            text += part.toString('utf8');
            for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
              const message = text.slice(0, end);
              text = text.slice(end + 2);
              const name = /^event: (.+)$/m.exec(message)?.[1];
              if (name !== undefined)
                events.push({ name, data: JSON.parse(/^data: (.+)$/m.exec(message)?.[1] ?? '{}') });
            }
          });
          const ended = new Promise<void>((end) => response.on('close', () => end()));
          // It is cut when either side goes; that is the end that `ended` tells.
          response.on('error', () => undefined);
          resolve({ events, ended, close: () => outgoing.destroy() });
        });
        outgoing.on('error', reject);
        outgoing.end();
      }),

    proof: way.proof,
    close: way.close,
  };
}

const MAX_SOCKETS = 4;

function overNetwork(
  daemon: TestDaemon,
  proof: () => Record<string, string>,
  hear: Way['hear'] = () => undefined,
): Way {
  const { hostname, port } = new URL(daemon.origin);
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, rejectUnauthorized: false });
  return {
    send: (options, take) => httpsRequest({ ...options, hostname, port, agent }, take),
    proof,
    hear,
    close: () => agent.destroy(),
  };
}

/** Nobody: no cookie and no token. */
export const stranger = (daemon: TestDaemon): Asker => askerOf(overNetwork(daemon, () => ({ origin: daemon.origin })));

export const withToken = (daemon: TestDaemon, token: string): Asker =>
  askerOf(overNetwork(daemon, () => ({ authorization: `Bearer ${token}` })));

/** Somebody on the machine, who may open this socket. */
export function onSocket(daemon: TestDaemon, door: 'admin' | 'operator'): Asker {
  const socketPath = join(daemon.runtimeDir, `${door}.sock`);
  return askerOf({
    send: (options, take) => httpRequest({ ...options, socketPath, localAddress: undefined }, take),
    proof: () => ({ host: 'localhost' }),
    hear: () => undefined,
    close: () => undefined,
  });
}

export interface Visitor extends Asker {
  readonly sessionId: string;
  /** The session's secret as the cookie has it now. */
  secret(): string;
}

/** What a browser does: spends a one-time link, keeps the cookie and takes each new one. */
export async function signIn(daemon: TestDaemon, user: string): Promise<Visitor> {
  const token = await linkToken(daemon, user);
  let cookie = '';
  const asker = askerOf(
    overNetwork(
      daemon,
      () => ({ origin: daemon.origin, ...(cookie === '' ? {} : { cookie }) }),
      (response) => {
        const set = response.headers['set-cookie']?.[0]?.split(';')[0];
        if (set !== undefined) cookie = set;
      },
    ),
  );
  const answer = await asker.ask({
    method: 'POST',
    path: '/auth/link',
    body: { token },
  });
  if (answer.status !== 200) throw new Error(`${user} could not sign in: ${answer.text}`);
  return {
    ...asker,
    sessionId: String(answer.json['sessionId']),
    secret: () => cookie.slice(cookie.indexOf('=') + 1),
  };
}
