/** The plain HTTP port: sends browsers on to HTTPS and answers an ACME server's questions. It shows nothing else and takes nothing. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

const CHALLENGE = /^\/\.well-known\/acme-challenge\/([A-Za-z0-9_-]{1,200})$/;
const MAX_CONNECTIONS = 256;

export interface Redirect {
  readonly server: Server;
  /** What an ACME server shall read under this token; null = nothing any more. */
  showProof(token: string, text: string | null): void;
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

  const server = createServer(
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
  return {
    server,
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
