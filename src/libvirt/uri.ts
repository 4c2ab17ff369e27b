/** Where a host's libvirt is reached, read from a libvirt URI. */

import { AppError } from '#kernel/errors.ts';

export interface LibvirtTarget {
  readonly transport:
    | { readonly kind: 'unix'; readonly socketPaths: readonly string[] }
    | { readonly kind: 'ssh'; readonly host: string; readonly user: string | null; readonly port: number | null }
    | { readonly kind: 'tls'; readonly host: string; readonly port: number };
  /** What the daemon is asked to open, as `qemu:///system`. */
  readonly openUri: string;
  /** Shown to people; no secrets. */
  readonly label: string;
}

const DRIVER = /^(qemu|test)(?:\+(unix|ssh|tls))?:$/;
const HOST = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,252}[A-Za-z0-9])?$|^[0-9a-fA-F:]+$/;
const USER = /^[a-z_][a-z0-9_.-]{0,31}$/;
const TLS_PORT = 16_514;

/** Reads `qemu:///system`, `test:///default`, `qemu+unix:///system?socket=PATH`, `qemu+ssh://[user@]host[:port]/system` and
 *  `qemu+tls://host[:port]/system`. `socketPath` overrides the socket of a local URI.
 *  @throws AppError invalid_input with the part that is wrong */
export function parseLibvirtUri(
  uri: string,
  options: { readonly socketPath?: string; readonly isReadOnly?: boolean } = {},
): LibvirtTarget {
  const refuse = (problem: string): never => {
    throw new AppError('invalid_input', {
      detail: `The libvirt URI is not usable: ${problem}.`,
      fields: [
        { path: 'uri', problem, mend: 'Write qemu:///system, qemu+ssh://user@host/system or qemu+tls://host/system.' },
      ],
    });
  };
  if (!URL.canParse(uri)) return refuse('it is no URI');
  const url = new URL(uri);
  const driver = DRIVER.exec(url.protocol);
  if (!driver?.[1]) return refuse(`"${url.protocol}" is no known kind of connection`);
  const kind = driver[2] ?? (url.hostname === '' ? 'unix' : 'tls');
  if (url.pathname === '' || url.pathname === '/') return refuse('it names no path, as /system');
  if (url.password !== '') return refuse('a password does not belong in it');
  const openUri = `${driver[1]}://${url.pathname}`;
  if (kind === 'unix') {
    if (url.hostname !== '') return refuse('a Unix socket has no host');
    const given = options.socketPath ?? url.searchParams.get('socket');
    const suffix = options.isReadOnly ? '-ro' : '';
    const socketPaths = given
      ? [given]
      : [`/run/libvirt/virtqemud-sock${suffix}`, `/run/libvirt/libvirt-sock${suffix}`];
    return { transport: { kind, socketPaths }, openUri, label: openUri };
  }
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (!HOST.test(host)) return refuse('the host name has characters that no host has');
  const port = url.port === '' ? null : Number(url.port);
  if (kind === 'tls')
    return {
      transport: { kind: 'tls', host, port: port ?? TLS_PORT },
      openUri,
      label: `qemu+tls://${url.host}${url.pathname}`,
    };
  const user = url.username === '' ? null : decodeURIComponent(url.username);
  if (user !== null && !USER.test(user)) return refuse('the user name has characters that no user has');
  return {
    transport: { kind: 'ssh', host, user, port },
    openUri,
    label: `qemu+ssh://${user === null ? '' : `${user}@`}${url.host}${url.pathname}`,
  };
}
