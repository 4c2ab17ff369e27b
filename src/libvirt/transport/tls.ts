/** libvirt over mutual TLS 1.3. After the handshake the host sends one byte that says whether it takes our certificate. */

import { readFile } from 'node:fs/promises';
import { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { hasErrno, messageOf } from '#kernel/errors.ts';
import { LibvirtError } from '../errors.ts';
import { type ConnectOptions, overStream, type Transport } from './transport.ts';

/** Files in PEM. They are read at each connect, so renewed certificates need no restart. */
export interface TlsCredentials {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** Where libvirt's own clients look. */
export const DEFAULT_TLS_CREDENTIALS: TlsCredentials = {
  caFile: '/etc/pki/CA/cacert.pem',
  certFile: '/etc/pki/libvirt/clientcert.pem',
  keyFile: '/etc/pki/libvirt/private/clientkey.pem',
};

const ACCEPTED = 1;

/** @throws LibvirtError certificate_refused when either side does not accept the other's certificate; system errors otherwise */
export async function connectTls(
  target: { readonly host: string; readonly port: number },
  credentials: TlsCredentials = DEFAULT_TLS_CREDENTIALS,
  { signal }: ConnectOptions,
): Promise<Transport> {
  const [ca, cert, key] = await Promise.all([
    readFile(credentials.caFile),
    readFile(credentials.certFile),
    readFile(credentials.keyFile),
  ]);
  signal.throwIfAborted();
  const socket = connect({ ...target, ca, cert, key, minVersion: 'TLSv1.3', rejectUnauthorized: true });
  const onAbort = () => socket.destroy(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await accepted(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
  return overStream(new FrameByFrame(socket), `tls:${target.host}:${target.port}`);
}

/** Sends each write as a TLS record of its own. libvirt 9.0 looks for one message per wake-up: a second one in the same record
 *  lies unseen until the next record comes (measured: pipelined calls waited 5 s, for the next ping). */
class FrameByFrame extends Duplex {
  readonly #socket: TLSSocket;

  constructor(socket: TLSSocket) {
    super();
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.on('end', () => this.push(null));
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => this.destroy());
  }

  override _read(): void {
    this.#socket.resume();
  }

  // There is no _writev, so Node hands over one write after the other, each when the last has left.
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(chunk, done);
  }

  override _final(done: () => void): void {
    this.#socket.end(done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

/** Under TLS 1.3 the handshake succeeds for us before the host has looked at our certificate (measured on libvirt 9.0). */
function accepted(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: Error | null) => {
      socket.off('error', onError);
      socket.off('close', onClose);
      socket.off('readable', onReadable);
      if (error) reject(error);
      else resolve();
    };
    const onError = (error: Error) =>
      settle(isCertificateTrouble(socket, error) ? refused(messageOf(error), error) : error);
    const onClose = () => settle(refused('the host closed the connection after the handshake'));
    const onReadable = () => {
      const byte: Buffer | null = socket.read(1);
      if (byte === null) return;
      settle(byte[0] === ACCEPTED ? null : refused(`the host answered ${byte[0]}`));
    };
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.on('readable', onReadable);
  });
}

function isCertificateTrouble(socket: TLSSocket, error: Error): boolean {
  if (hasErrno(error, 'ECONNRESET', 'EPIPE')) return socket.authorized;
  return 'code' in error && typeof error.code === 'string' && /CERT|VERIFY|ALERT|ISSUER|SSL|TLS/.test(error.code);
}

function refused(reason: string, cause?: unknown): LibvirtError {
  return new LibvirtError('certificate_refused', { procedure: 'TLS', cause: new Error(reason, { cause }) });
}
