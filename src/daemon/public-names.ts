/** Under which names and addresses this machine may be reached; for the certificate and the Host check. */

import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';

export interface ListenAddress {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

export function parseListen(listen: string): ListenAddress {
  const colon = listen.lastIndexOf(':');
  return { host: listen.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(listen.slice(colon + 1)) };
}

const isAny = (host: string): boolean => host === '0.0.0.0' || host === '::';

/** Names for the certificate: what is configured, and on "all addresses" each of this machine's. */
export function certificateNames(listen: ListenAddress, publicNames: readonly string[]): string[] {
  const names = new Set([
    'localhost',
    '127.0.0.1',
    '::1',
    ...publicNames.map((name) => name.replace(/^\[|\]$/g, '').replace(/:\d+$/, '') || name),
  ]);
  const own = hostname().toLowerCase();
  if (/^[a-z0-9.-]{1,253}$/.test(own)) names.add(own);
  if (isAny(listen.host)) {
    for (const addresses of Object.values(networkInterfaces()))
      for (const { address, scopeid } of addresses ?? []) if (!scopeid) names.add(address);
  } else {
    names.add(listen.host);
  }
  return [...names];
}

/** Values of the Host header that are ours. */
export function allowedHosts(names: readonly string[], port: number, publicNames: readonly string[]): Set<string> {
  const hosts = new Set(publicNames.map((name) => name.toLowerCase()));
  for (const name of names) {
    const host = isIP(name) === 6 ? `[${name}]` : name.toLowerCase();
    hosts.add(`${host}:${port}`);
    if (port === 443) hosts.add(host);
  }
  return hosts;
}

/** The address that people are told. */
export function publicOrigin(listen: ListenAddress, port: number, publicNames: readonly string[]): string {
  const configured = publicNames[0];
  if (configured)
    return `https://${configured.includes(':') && !configured.startsWith('[') && isIP(configured) !== 6 ? configured : `${isIP(configured) === 6 ? `[${configured}]` : configured}:${port}`}`;
  const host = isAny(listen.host) ? outsideAddress() : listen.host;
  return `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

function outsideAddress(): string {
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address, internal, family } of addresses ?? []) if (!internal && family === 'IPv4') return address;
  return 'localhost';
}
