/** The way to an NBD server: a unix socket, TCP, or TCP with TLS, greeted and, when that was asked for, encrypted. */

import { readFile } from 'node:fs/promises';
import { connect as connectSocket, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AppError, messageOf } from '#kernel/errors.ts';
import { ByteReader } from './byte-reader.ts';
import { askForTls, greet, type HandshakeLink } from './client-handshake.ts';
import { protocolBroken } from './errors.ts';

/** Files in PEM. They are read at each connect, so renewed certificates need no restart. */
export interface NbdTls {
  readonly caFile: string;
  /** Ours, where the server wants to know its clients. */
  readonly client?: { readonly certFile: string; readonly keyFile: string };
  /** The name that the server's certificate must have, default the host of the address. */
  readonly serverName?: string;
}

export type NbdAddress =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number; readonly tls?: NbdTls };

export interface Link extends HandshakeLink {
  readonly socket: Socket;
}

/** Connects, reads the greeting, and with `tls` encrypts or fails. An abort of `signal` destroys the socket, later
 *  too.
 *  @throws AppError nbd_unreachable, nbd_refused, nbd_protocol_broken; the signal's reason */
export async function openLink(address: NbdAddress, signal: AbortSignal): Promise<Link> {
  const tls = 'tls' in address && address.tls ? await tlsOptions(address.tls, address.host) : null;
  signal.throwIfAborted();
  const link = await plainLink(address, signal, tls === null);
  try {
    await greet(link);
    if (tls === null) return link;
    await askForTls(link);
    // What came in the clear must not pass for something encrypted.
    if (link.reader.detach() > 0) throw protocolBroken('bytes in the clear after the agreement to encrypt');
    return await encryptedLink(link.socket, tls, signal);
  } catch (error) {
    link.socket.destroy();
    throw error;
  }
}

/** @param isDirect read straight to where bytes are wanted; TLS cannot take over such a socket */
async function plainLink(address: NbdAddress, signal: AbortSignal, isDirect: boolean): Promise<Link> {
  const reader = new ByteReader();
  const target = 'socketPath' in address ? { path: address.socketPath } : { host: address.host, port: address.port };
  const socket = connectSocket({
    ...target,
    signal,
    noDelay: true,
    ...(isDirect ? { onread: reader.directReads() } : {}),
  });
  if (isDirect) reader.attach(socket, closedBecause);
  else reader.attachFlowing(socket, closedBecause);
  await settled(socket, 'connect', signal, unreachable);
  return { socket, reader, write: (bytes) => void socket.write(bytes) };
}

interface TlsOptions {
  readonly host: string;
  readonly servername?: string;
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

async function tlsOptions({ caFile, client, serverName }: NbdTls, host: string): Promise<TlsOptions> {
  const name = serverName ?? host;
  const ca = await readFile(caFile);
  return {
    host: name,
    // An address is no server name (RFC 6066); it is still checked against the certificate.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ca,
    ...(client ? { cert: await readFile(client.certFile), key: await readFile(client.keyFile) } : {}),
  };
}

async function encryptedLink(plain: Socket, tls: TlsOptions, signal: AbortSignal): Promise<Link> {
  const socket = connectTls({ ...tls, socket: plain, minVersion: 'TLSv1.2', rejectUnauthorized: true });
  const reader = new ByteReader();
  const onAbort = () => socket.destroy();
  signal.addEventListener('abort', onAbort, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', onAbort));
  reader.attachFlowing(socket, closedBecause);
  await settled(socket, 'secureConnect', signal, untrusted);
  return { socket, reader, write: (bytes) => void socket.write(bytes) };
}

function settled(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
  failureOf: (cause: Error) => Error,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => {
      socket.destroy();
      reject(signal.aborted ? signal.reason : failureOf(error));
    };
    const onClose = () => onError(new Error('the connection was closed'));
    socket.once('error', onError);
    socket.once('close', onClose);
    socket.once(event, () => {
      socket.off('error', onError);
      socket.off('close', onClose);
      resolve();
    });
  });
}

function unreachable(cause: Error): AppError {
  return new AppError('nbd_unreachable', { cause });
}

function closedBecause(cause?: Error): AppError {
  return new AppError('nbd_unreachable', {
    detail: 'The server of the disk’s data closed the connection.',
    ...(cause ? { cause } : {}),
  });
}

function untrusted(cause: Error): AppError {
  return new AppError('nbd_refused', {
    detail: `The encrypted connection to the disk’s data was not made: ${messageOf(cause)}.`,
    hint: 'Check the server’s certificate, its authority, and ours when the server asks for one.',
    cause,
  });
}
