/** Clients of the event stream: one on the admin socket, and many signed in over HTTPS. */

import type { IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { authorityOf, type TestDaemon } from '#test/support/daemon.ts';
import { linkToken } from '#test/support/link-token.ts';

export interface EventClient {
  /** Resolves with the time (`performance.now()`) at which an event arrives whose text holds all of `parts`. */
  waitFor(...parts: readonly string[]): Promise<number>;
  close(): void;
}

const LIMIT_MS = 20_000;

function clientOf(response: IncomingMessage): EventClient {
  let rest = '';
  const waiting = new Set<{ parts: readonly string[]; arrived(at: number): void }>();
  response.setEncoding('utf8');
  // Closing a stream that never ends is an error to Node, and here the usual end.
  response.on('error', () => undefined);
  response.on('data', (chunk: string) => {
    const at = performance.now();
    const messages = (rest + chunk).split('\n\n');
    rest = messages.pop() ?? '';
    for (const entry of [...waiting])
      if (messages.some((message) => entry.parts.every((part) => message.includes(part)))) entry.arrived(at);
  });
  return {
    waitFor: (...parts) =>
      new Promise((resolve, reject) => {
        const entry = {
          parts,
          arrived: (at: number) => {
            clearTimeout(timer);
            waiting.delete(entry);
            resolve(at);
          },
        };
        const timer = setTimeout(() => reject(new Error(`no event with ${parts.join(', ')}`)), LIMIT_MS);
        waiting.add(entry);
      }),
    close: () => response.destroy(),
  };
}

/** Follows the events over the admin socket. */
export function openLocalEvents(daemon: TestDaemon): Promise<EventClient> {
  return new Promise((resolve, reject) => {
    httpRequest(
      { socketPath: join(daemon.runtimeDir, 'admin.sock'), path: '/api/v1/events', headers: { host: 'localhost' } },
      (response) => resolve(clientOf(response)),
    )
      .on('error', reject)
      .end();
  });
}

export interface Session {
  /** A client that reads. */
  open(): Promise<EventClient>;
  /** A client that asks for the events and never reads an answer. Returns the function that ends it. */
  openDeaf(): Promise<() => void>;
}

/** Signs in over HTTPS as a browser does. */
export async function signIn(daemon: TestDaemon, user = 'admin'): Promise<Session> {
  const ca = await authorityOf(daemon);
  const token = await linkToken(daemon, user);
  const cookie = await new Promise<string>((resolve, reject) => {
    const call = httpsRequest(
      `${daemon.origin}/api/v1/auth/link`,
      { method: 'POST', ca, headers: { 'content-type': 'application/json', origin: daemon.origin } },
      (response) => {
        response.resume();
        const value = response.headers['set-cookie']?.[0]?.split(';')[0];
        if (value === undefined) reject(new Error(`signing in was answered with ${response.statusCode}`));
        else resolve(value);
      },
    );
    call.on('error', reject);
    call.end(JSON.stringify({ token }));
  });
  const response = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      // An agent of its own: a connection for each client, as for each browser.
      httpsRequest(`${daemon.origin}/api/v1/events`, { ca, headers: { cookie }, agent: new Agent() }, resolve)
        .on('error', reject)
        .end();
    });
  return {
    open: async () => clientOf(await response()),
    openDeaf: async () => {
      const deaf = await response();
      deaf.on('error', () => undefined);
      deaf.pause();
      return () => deaf.destroy();
    },
  };
}
