/** To which host name passkeys are bound, and from which origins they are taken: fixed by the configuration, never by the request. */

import { isIP } from 'node:net';

export interface RelyingParty {
  /** The rpId of WebAuthn: a host name. */
  readonly id: string;
  /** Origins of pages that may use it. */
  readonly origins: readonly string[];
  /** Where to send people who came by an address that cannot have passkeys. */
  readonly openAt: string;
}

export interface RelyingPartySettings {
  /** `access.rpId`; null = the first of `publicNames` that is a host name, else localhost. */
  readonly rpId: string | null;
  readonly publicNames: readonly string[];
  /** Of the dashboard. */
  readonly port: number;
}

const isBelow = (host: string, domain: string): boolean => host === domain || host.endsWith(`.${domain}`);
const originOf = (host: string, port: number): string => new URL(`https://${host}:${port}`).origin;

export function relyingPartyOf({ rpId, publicNames, port }: RelyingPartySettings): RelyingParty {
  const named = publicNames.flatMap((name) => {
    const [host = '', given] = name.toLowerCase().split(':');
    // An address is no name that passkeys can be bound to; more than one colon is IPv6.
    if (name.split(':').length > 2 || name.startsWith('[') || isIP(host) !== 0) return [];
    return [{ host, ports: given === undefined ? [port, 443] : [Number(given)] }];
  });
  const id = rpId?.toLowerCase() ?? named[0]?.host ?? 'localhost';
  const origins = [...named, { host: 'localhost', ports: [port] }]
    .filter(({ host }) => isBelow(host, id))
    .flatMap(({ host, ports }) => ports.map((each) => originOf(host, each)));
  return { id, origins: [...new Set(origins)], openAt: origins[0] ?? originOf(id, port) };
}
