/** Requests byte by byte over TLS, as an attacker writes them, and a browser's session to write them with. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import type { TestDaemon } from './daemon.ts';
import { linkToken } from './link-token.ts';

/** A daemon's network door and who knocks. */
export interface Site {
  /** As in the Host header. */
  readonly host: string;
  readonly port: number;
  readonly origin: string;
  readonly ca: string;
}

export interface WireAnswer {
  readonly status: number;
  /** Lower-case names; the last of a repeated one. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export async function siteOf(daemon: TestDaemon): Promise<Site> {
  const { host, port } = new URL(daemon.origin);
  const ca = await readFile(join(daemon.stateDir, 'ca', 'ca.pem'), 'utf8');
  return { host, port: Number(port), origin: daemon.origin, ca };
}

/** A TLS connection to the door. */
export function open(site: Site): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: site.port, ca: site.ca, servername: 'localhost' });
    socket.once('secureConnect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** The first whole answer on a connection; null when it was closed without one. */
export function answerOf(socket: TLSSocket, withinMs = 15_000): Promise<WireAnswer | null> {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(
      () => reject(new Error(`no answer within ${withinMs} ms, so far: ${text.slice(0, 200)}`)),
      withinMs,
    );
    const settle = () => {
      clearTimeout(timer);
      resolve(parse(text));
    };
    socket.on('data', (data: Buffer) => {
      text += data.toString('latin1');
      if (isWhole(text)) settle();
    });
    socket.on('close', settle);
    // A reset after the answer is how a server ends a body that it does not want.
    socket.on('error', settle);
  });
}

/** Writes these bytes on a fresh connection and answers what comes back. */
export async function send(site: Site, bytes: string | Uint8Array): Promise<WireAnswer | null> {
  const socket = await open(site);
  try {
    const answer = answerOf(socket);
    socket.write(bytes);
    return await answer;
  } finally {
    socket.destroy();
  }
}

export interface RequestParts {
  readonly method?: string;
  readonly path?: string;
  /** Lines besides Host, exactly as they go out. */
  readonly lines?: readonly string[];
  readonly body?: string;
}

/** The bytes of a request; Content-Length is added for a body. */
export function requestText(
  site: Site,
  { method = 'GET', path = '/api/v1/system/status', lines = [], body }: RequestParts,
): string {
  const length = body === undefined ? [] : [`Content-Length: ${Buffer.byteLength(body)}`];
  return [`${method} ${path} HTTP/1.1`, `Host: ${site.host}`, ...lines, ...length, '', body ?? ''].join('\r\n');
}

/** Signs in with a fresh link and answers the line of the Cookie header. */
export async function signIn(site: Site, daemon: TestDaemon): Promise<string> {
  const answer = await spendLink(site, await linkToken(daemon));
  const cookie = /^[^;]+/.exec(answer?.headers['set-cookie'] ?? '')?.[0];
  if (answer?.status !== 200 || cookie === undefined) throw new Error(`signing in failed: ${JSON.stringify(answer)}`);
  return `Cookie: ${cookie}`;
}

export function spendLink(site: Site, token: string): Promise<WireAnswer | null> {
  const lines = [`Origin: ${site.origin}`, 'Content-Type: application/json'];
  return send(
    site,
    requestText(site, { method: 'POST', path: '/api/v1/auth/link', lines, body: JSON.stringify({ token }) }),
  );
}

function parse(text: string): WireAnswer | null {
  const end = text.indexOf('\r\n\r\n');
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1];
  if (end < 0 || status === undefined) return null;
  const headers = text
    .slice(0, end)
    .split('\r\n')
    .slice(1)
    .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const);
  return { status: Number(status), headers: Object.fromEntries(headers), body: text.slice(end + 4) };
}

function isWhole(text: string): boolean {
  const answer = parse(text);
  if (answer === null) return false;
  if (answer.status === 101 || answer.status === 204) return true;
  const length = answer.headers['content-length'];
  if (length !== undefined) return Buffer.byteLength(answer.body, 'latin1') >= Number(length);
  return answer.body.endsWith('\r\n0\r\n\r\n');
}
