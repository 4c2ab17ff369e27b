/** A read-only NBD server on a unix socket: what QEMU boots from, and what qemu-img, nbdcopy and guestfish read. */

import { once } from 'node:events';
import { chmod, lstat, rm } from 'node:fs/promises';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { hasErrno } from '#kernel/errors.ts';
import { ByteReader } from './byte-reader.ts';
import { acceptHandshake } from './server-handshake.ts';
import { serveRequests } from './server-requests.ts';
import type { NbdSource } from './source.ts';

export interface ServeNbdOptions {
  /** Made with mode 0660 in a folder that exists and lets in only who may read the disks: nobody has to say who he is. A
   *  socket that was left behind there is replaced, one that is in use is not. */
  readonly socketPath: string;
  /** Disks by name. Looked up when a client opens one, so the caller may add and remove. */
  readonly exports: ReadonlyMap<string, NbdSource>;
  /** Hears why a read failed; the client sees an input/output error only. */
  onReadError?(exportName: string, error: unknown): void;
}

export interface NbdServer {
  /** Ends all connections and removes the socket. */
  close(): Promise<void>;
}

/** Clients at once; QEMU needs one, nbdcopy four. */
const MAX_CLIENTS = 256;
/** From the connection to an open export. Afterwards a client may be silent for as long as it likes, as a VM may. */
const HANDSHAKE_MS = 10_000;

/** Serves until `close`.
 *  @throws system errors of listening (EADDRINUSE when another server answers there, EACCES, ENOENT) */
export async function serveNbd(options: ServeNbdOptions): Promise<NbdServer> {
  const clients = new Set<Socket>();
  const server = createServer((socket) => {
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    void serveClient(socket, options);
  });
  server.maxConnections = MAX_CLIENTS;
  try {
    await listen(server, options.socketPath);
  } catch (error) {
    if (!hasErrno(error, 'EADDRINUSE') || !(await isLeftBehind(options.socketPath))) throw error;
    await rm(options.socketPath);
    await listen(server, options.socketPath);
  }
  // Without descriptors a client cannot be let in and is closed; the others, and those who come later, are served.
  server.on('error', () => undefined);
  await chmod(options.socketPath, 0o660);
  return {
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of clients) socket.destroy();
      await closed;
    },
  };
}

async function listen(server: Server, socketPath: string): Promise<void> {
  server.listen(socketPath);
  await once(server, 'listening');
}

/** True for the socket of a server that is gone. A file of another kind is nobody's socket, and stays. */
async function isLeftBehind(socketPath: string): Promise<boolean> {
  if (!(await lstat(socketPath)).isSocket()) return false;
  const socket = createConnection(socketPath);
  try {
    await once(socket, 'connect');
    return false;
  } catch (error) {
    return hasErrno(error, 'ECONNREFUSED');
  } finally {
    socket.destroy();
  }
}

/** Never rejects. Clients that go, or that speak something else, are nobody's fault here: they are cut. */
async function serveClient(socket: Socket, options: ServeNbdOptions): Promise<void> {
  const reader = new ByteReader();
  reader.attachFlowing(socket, () => new Error('the client is gone'));
  const deadline = setTimeout(() => socket.destroy(), HANDSHAKE_MS);
  try {
    const opened = await acceptHandshake({ reader, write: (bytes) => void socket.write(bytes) }, options.exports);
    clearTimeout(deadline);
    if (opened === null) return void socket.end();
    await serveRequests({
      socket,
      reader,
      opened,
      onReadError: (error) => options.onReadError?.(opened.exportName, error),
    });
    socket.end();
  } catch {
    socket.destroy();
  } finally {
    clearTimeout(deadline);
  }
}
