/** The plain HTTP port: sends browsers on to HTTPS and answers an ACME server's questions. It shows nothing else and takes nothing. */

import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '#kernel/errors.ts';
import { http } from '#kernel/node-http.ts';

const CHALLENGE = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]{1,200})$/;
const MAX_CONNECTIONS = 256;

export interface Redirect {
  /** Resolves to the port. @throws Error for the terminal when it cannot be opened */
  listen(address: { readonly host: string; readonly port: number }): Promise<number>;
  /** What an ACME server shall read under this token; null = nothing any more. */
  showProof(token: string, text: string | null): void;
  close(): void;
}

/** @param targetOf origin for a Host header: only one of ours, whatever the header says */
export function createRedirect(targetOf: (host: string | undefined) => string): Redirect {
  const proofs = new Map<string, string>();

  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const url = request.url ?? '/';
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    response.setHeader('connection', 'close');
    response.setHeader('cache-control', 'no-store');
    response.setHeader('x-content-type-options', 'nosniff');
    const proof = proofs.get(CHALLENGE.exec(url)?.[1] ?? '');
    if (isRead && proof !== undefined) {
      response.writeHead(200, { 'content-type': 'text/plain' }).end(proof);
      return;
    }
    // A form or a token that was sent here went over the wire in the clear: better it fails than that nobody notices.
    if (!isRead || !url.startsWith('/')) {
      response.writeHead(isRead ? 400 : 405, { 'content-type': 'text/plain', allow: 'GET, HEAD' }).end('Use HTTPS.\n');
      return;
    }
    response.writeHead(308, { location: `${targetOf(request.headers.host)}${url}` }).end();
  };

  const server = http.createServer(
    {
      maxHeaderSize: 8192,
      headersTimeout: 3000,
      requestTimeout: 5000,
      connectionsCheckingInterval: 1000,
      requireHostHeader: false,
    },
    answer,
  );
  server.maxConnections = MAX_CONNECTIONS;
  // A connection that could not be accepted is the loss of who wanted it, and no reason to end the daemon.
  server.on('error', () => undefined);
  return {
    async listen({ host, port }) {
      try {
        server.listen(port, host);
        await once(server, 'listening');
      } catch (error) {
        throw new Error(
          `tls.redirectListen: port ${port} on ${host} cannot be opened: ${messageOf(error)}. Mend: end the program that has it, choose another, or open ports from ${port} on to all programs (sysctl net.ipv4.ip_unprivileged_port_start=${port}).`,
          { cause: error },
        );
      }
      const address = server.address();
      return typeof address === 'object' && address !== null ? address.port : port;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
    showProof(token, text) {
      if (text === null) proofs.delete(token);
      else proofs.set(token, text);
    },
  };
}

/** The origin under which the asked-for host is reached by HTTPS; `fallback` for a host that is not ours.
 *  @param allowed Host headers of the HTTPS port */
export function secureOriginOf(
  host: string | undefined,
  port: number,
  allowed: ReadonlySet<string>,
  fallback: string,
): string {
  const name = (host ?? '').toLowerCase().replace(/:\d+$/, '');
  const candidates = port === 443 ? [name] : [`${name}:${port}`, name];
  const found = candidates.find((candidate) => allowed.has(candidate));
  return found === undefined ? fallback : `https://${found}`;
}
