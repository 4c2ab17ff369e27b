/** The world outside as channels and the sign of life may reach it. Private addresses are open to all only where `notifications.allowPrivateHosts`
 *  names them; an address of the configuration opens that host and port to what it was written for, and to nothing else. */

import type { Clock } from '#kernel/clock.ts';
import { createFetcher, type Fetcher, type Resolve } from '#platform/fetch/index.ts';
import { sendMail } from '#platform/smtp.ts';
import type { ChannelEntry } from './channel-registry.ts';
import type { Outside } from './channels/channel.ts';

const ALLOW_KEY = 'notifications.allowPrivateHosts';
const REQUEST_MS = { headersMs: 10_000, idleMs: 10_000, textMs: 10_000 } as const;

export type OutsideOf = (signal: AbortSignal, channel: Pick<ChannelEntry, 'ownHosts'>) => Outside;

export interface OutsideDependencies {
  readonly allowPrivateHosts: readonly string[];
  readonly clock: Clock;
  readonly resolve?: Resolve;
}

/** HOST:PORT that an address means. */
export const hostAndPortOf = (url: URL): string =>
  `${url.hostname}:${url.port || (url.protocol === 'https:' ? '443' : '80')}`;

export function createOutside({ allowPrivateHosts, clock, resolve }: OutsideDependencies): {
  readonly forChannel: OutsideOf;
  /** For one address of the configuration. */
  forAddress(address: string): Pick<Fetcher, 'call'>;
} {
  const fetcherFor = (hosts: readonly string[], ca: string | null) =>
    createFetcher({
      allowPrivateHosts: [...allowPrivateHosts, ...hosts],
      allowKey: ALLOW_KEY,
      limits: REQUEST_MS,
      clock,
      ...(ca === null ? {} : { ca }),
      ...(resolve === undefined ? {} : { resolve }),
    });
  return {
    forChannel: (signal, { ownHosts }) => ({
      fetcher: (ca) => fetcherFor(ownHosts, ca),
      mail: (server, mail, until) =>
        sendMail(
          {
            ...server,
            allowPrivateHosts: [...allowPrivateHosts, ...ownHosts],
            ...(resolve === undefined ? {} : { resolve }),
          },
          mail,
          until,
        ),
      nowMs: () => clock.now().getTime(),
      signal,
    }),
    forAddress: (address) => fetcherFor([hostAndPortOf(new URL(address))], null),
  };
}
