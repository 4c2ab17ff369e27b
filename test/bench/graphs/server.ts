/** Serves the page of the bench, and hands its questions to a daemon's admin socket. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { overSocket } from '#test/support/daemon.ts';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
};

export interface PageServer extends AsyncDisposable {
  readonly origin: string;
}

export async function servePage(folder: string, socketPath: string): Promise<PageServer> {
  const server = createServer(async (request, response) => {
    const url = request.url ?? '/';
    if (url.startsWith('/api/')) {
      const { status, body } = await overSocket(socketPath, { method: 'GET', path: url });
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
      return;
    }
    const { pathname } = new URL(url, 'http://localhost');
    const file = join(folder, pathname === '/' ? 'index.html' : pathname);
    const content = await readFile(file).catch(() => null);
    if (content === null) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(content);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the page is not served');
  return {
    origin: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
