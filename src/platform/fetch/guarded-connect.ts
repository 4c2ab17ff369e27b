/** Opens the connection of one request. The name is looked up once, each answer is checked, and the socket goes to exactly
 *  that address: a second, different DNS answer has nobody to reach. */

import { lookup } from 'node:dns/promises';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { AppError } from '#kernel/errors.ts';
import { addressProblem, portOf } from './address-policy.ts';

/** Turns a host name into its addresses, in the order in which to try them. */
export type Resolve = (host: string) => Promise<readonly string[]>;

export const systemResolve: Resolve = async (host) => {
  const answers = await lookup(host, { all: true, order: 'verbatim' });
  return answers.map((answer) => answer.address);
};

export interface GuardedConnectOptions {
  readonly url: URL;
  readonly allowPrivateHosts: readonly string[];
  readonly resolve: Resolve;
  /** Key of the configuration that `allowPrivateHosts` comes from, for the hint. */
  readonly allowKey: string;
  /** Further certificate authorities (PEM) beside those of Node. */
  readonly ca?: string;
  readonly signal: AbortSignal;
}

const MAX_ADDRESSES_TRIED = 4;
const CONNECT_MS = 10_000;

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

/** The addresses of the URL's host that may be reached, in the order in which to try them.
 *  @throws AppError `address_refused` */
export async function permittedAddresses({
  url,
  allowPrivateHosts,
  resolve,
  allowKey,
}: Pick<GuardedConnectOptions, 'url' | 'allowPrivateHosts' | 'resolve' | 'allowKey'>): Promise<readonly string[]> {
  const host = bareHost(url);
  const addresses = isIP(host) === 0 ? await resolve(host) : [host];
  const problems = addresses.map((address) => addressProblem(url, address, allowPrivateHosts));
  const permitted = addresses.filter((_, index) => problems[index] === null);
  if (permitted.length > 0) return permitted.slice(0, MAX_ADDRESSES_TRIED);
  const entry = url.port === '' ? url.hostname : `${url.hostname}:${url.port}`;
  throw new AppError('address_refused', {
    detail:
      addresses.length === 0
        ? `${host} has no address.`
        : `${host} leads to ${problems.find((problem) => problem !== null)}.`,
    hint: `If that machine is meant, an administrator adds "${entry}" to \`${allowKey}\` in the configuration.`,
    params: { host },
  });
}

function settled(socket: Socket, event: 'connect' | 'secureConnect', signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (error?: unknown) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.off('error', finish);
      socket.off(event, onReady);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onReady = () => finish();
    const onAbort = () => finish(signal.reason);
    const timer = setTimeout(() => finish(new Error(`no connection within ${CONNECT_MS / 1000} s`)), CONNECT_MS);
    socket.once('error', finish);
    socket.once(event, onReady);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

async function connectTo(
  address: string,
  { url, allowPrivateHosts, ca, signal }: GuardedConnectOptions,
): Promise<Socket> {
  const tcp = connectTcp({ host: address, port: Number(portOf(url)), noDelay: true });
  // A late error of a socket we gave up must not become an uncaught exception.
  tcp.on('error', () => undefined);
  try {
    await settled(tcp, 'connect', signal);
    const reached = tcp.remoteAddress ?? '';
    const problem = addressProblem(url, reached, allowPrivateHosts);
    if (problem !== null) throw new AppError('address_refused', { detail: `${url.hostname} leads to ${problem}.` });
    if (url.protocol === 'http:') return tcp;
    const host = bareHost(url);
    const tls = connectTls({
      socket: tcp,
      host,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
    });
    tls.on('error', () => undefined);
    await settled(tls, 'secureConnect', signal);
    return tls;
  } catch (error) {
    tcp.destroy();
    throw error;
  }
}

/** @returns a connected socket (TLS done when the URL is https).
 *  @throws AppError `address_refused`, the signal's reason, or the system's error of the last address tried */
export async function guardedConnect(options: GuardedConnectOptions): Promise<Socket> {
  let failure: unknown;
  for (const address of await permittedAddresses(options)) {
    try {
      return await connectTo(address, options);
    } catch (error) {
      if (options.signal.aborted || error instanceof AppError) throw error;
      // The next address of the same name may answer; the last failure is reported.
      failure = error;
    }
  }
  throw failure;
}
