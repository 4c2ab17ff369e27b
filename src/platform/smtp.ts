/** One mail to one server. TLS is never given up silently: it begins at once, or by STARTTLS that must succeed, or was not wanted. */

import { connect as connectTcp, type Socket } from 'node:net';
import { AppError, hasErrno, messageOf } from '#kernel/errors.ts';
import { permittedAddresses, type Resolve, systemResolve } from './fetch/index.ts';

export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Without brackets, as `key@host`. */
  readonly messageId: string;
  /** The first mail of the thread, likewise. */
  readonly thread: string | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** `implicit` from the first byte, `starttls` required, `none` in the clear. */
  readonly tls: 'implicit' | 'starttls' | 'none';
  readonly user: string | null;
  readonly password: string | null;
  /** Authorities (PEM) to trust instead of Node's own list. */
  readonly ca: string | null;
  readonly allowPrivateHosts: readonly string[];
  readonly resolve?: Resolve;
}

/** What the server made of it. */
export interface MailResult {
  /** Recipients that it did not take, though it took others. */
  readonly refused: readonly string[];
}

/** A mail that was not taken. `isPermanent`: it would not be taken later either. The message names no password. */
export class MailError extends Error {
  readonly isPermanent: boolean;

  constructor(message: string, isPermanent: boolean) {
    super(message);
    this.name = 'MailError';
    this.isPermanent = isPermanent;
  }
}

const CONNECT_MS = 10_000;
/** Silence of the server in the middle of it. */
const IDLE_MS = 60_000;

/** @throws MailError; AppError `address_refused` for a host on a private address that nobody allowed */
export async function sendMail(server: MailServer, mail: Mail, signal: AbortSignal): Promise<MailResult> {
  const url = new URL(`http://${server.host}:${server.port}`);
  const lookedUp = permittedAddresses({
    url,
    allowPrivateHosts: server.allowPrivateHosts,
    resolve: server.resolve ?? systemResolve,
    allowKey: 'notifications.allowPrivateHosts',
  });
  const addresses = await orTooLong(lookedUp, signal).catch((error: unknown) => {
    if (error instanceof AppError) throw error;
    throw new MailError(`${server.host} cannot be looked up: ${messageOf(error)}`, false);
  });
  const socket = await connectToAny(addresses, server.port, signal);
  // Loaded with the first mail: most installations send none.
  const { createTransport } = await import('nodemailer');
  if (signal.aborted) {
    socket.destroy();
    throw new MailError(`${server.host} did not take it: it took too long`, false);
  }
  const transport = createTransport({
    host: server.host,
    port: server.port,
    // The connection goes to the address that was checked; nodemailer looks nothing up.
    connection: socket,
    secure: server.tls === 'implicit',
    requireTLS: server.tls === 'starttls',
    ignoreTLS: server.tls === 'none',
    tls: {
      servername: server.host.replace(/^\[|\]$/g, ''),
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      ...(server.ca === null ? {} : { ca: server.ca }),
    },
    ...(server.user === null || server.password === null ? {} : { auth: { user: server.user, pass: server.password } }),
    greetingTimeout: CONNECT_MS,
    socketTimeout: IDLE_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const onAbort = () => socket.destroy(new Error('it took too long'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const info = await transport.sendMail({
      from: mail.from,
      to: [...mail.to],
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      messageId: `<${mail.messageId}>`,
      ...(mail.thread === null ? {} : { references: [`<${mail.thread}>`], inReplyTo: `<${mail.thread}>` }),
      headers: { ...mail.headers },
    });
    return { refused: info.rejected };
  } catch (error) {
    throw toMailError(error, server);
  } finally {
    signal.removeEventListener('abort', onAbort);
    transport.close();
    socket.destroy();
  }
}

/** A lookup cannot be called back; it is waited for no longer than the signal lets us. */
function orTooLong<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(new Error('it took too long'));
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    if (signal.aborted) onAbort();
  });
}

async function connectToAny(addresses: readonly string[], port: number, signal: AbortSignal): Promise<Socket> {
  let failure: unknown = new Error('it has no address');
  for (const address of addresses) {
    try {
      return await connectTo(address, port, signal);
    } catch (error) {
      failure = error;
      if (signal.aborted) break;
    }
  }
  throw new MailError(`the mail server cannot be reached: ${messageOf(failure)}`, false);
}

function connectTo(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host: address, port });
    const fail = (error: Error) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      reject(error);
    };
    const timer = setTimeout(() => fail(new Error(`no connection within ${CONNECT_MS / 1000} s`)), CONNECT_MS);
    const onAbort = () => fail(new Error('it took too long'));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    socket.once('error', fail);
    socket.once('connect', () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('error', fail);
      // A late failure is reported by whoever uses the socket; unused, it must not become an uncaught exception.
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}

const CERTIFICATE_ERRORS = [
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
];

function toMailError(error: unknown, { host, tls }: MailServer): MailError {
  const code = error instanceof Error && 'responseCode' in error ? Number(error.responseCode) : null;
  const text = messageOf(error).replace(/\s+/g, ' ').slice(0, 300);
  if (hasErrno(error, ...CERTIFICATE_ERRORS) || /certificate/i.test(text))
    return new MailError(`the certificate of ${host} is not one that is trusted: ${text}`, false);
  if (tls === 'starttls' && (hasErrno(error, 'ETLS') || /STARTTLS/.test(text)))
    return new MailError(`${host} offers no TLS (STARTTLS), so nothing was sent: ${text}`, false);
  // 5xx is the server's last word about this mail.
  if (code !== null && code >= 500) return new MailError(`${host} refused it: ${text}`, true);
  return new MailError(`${host} did not take it: ${text}`, false);
}
