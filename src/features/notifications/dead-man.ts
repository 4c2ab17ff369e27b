/** A sign of life to a service outside, each minute while all is well; `/fail` below the address when it is not. When this machine is down
 *  nothing comes, and that service tells. */

import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Fetcher } from '#platform/fetch/index.ts';
import { redact } from './text.ts';

export interface DeadMan {
  /** @param isHealthy asked at each sign of life; must not wait */
  watch(what: string, isHealthy: () => boolean): () => void;
  ping(signal: AbortSignal): Promise<void>;
  readonly isConfigured: boolean;
}

export const PING_EVERY_MS = 60_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/** @param address null = none is configured */
export function createDeadMan(
  address: string | null,
  fetcherFor: (address: string) => Pick<Fetcher, 'call'>,
  log: Logger,
): DeadMan {
  const watched = new Map<string, () => boolean>();
  const failUrl = (text: string): string => {
    const url = new URL(text);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/fail`;
    return url.href;
  };
  return {
    isConfigured: address !== null,
    watch(what, isHealthy) {
      watched.set(what, isHealthy);
      return () => void watched.delete(what);
    },
    async ping(signal) {
      if (address === null) return;
      const unhealthy = [...watched].filter(([, isHealthy]) => !isHealthy()).map(([what]) => what);
      try {
        const url = unhealthy.length === 0 ? address : failUrl(address);
        const { status } = await fetcherFor(address).call({ url, method: 'GET', maxBytes: MAX_ANSWER_BYTES, signal });
        // A redirect is no answer either: nobody knows whether the service behind it heard.
        if (status < 200 || status >= 300) log.warn({ status }, 'the sign of life was not taken');
        if (unhealthy.length > 0) log.error({ unhealthy }, 'the sign of life says that something is wrong');
      } catch (error) {
        if (!signal.aborted) log.warn({}, `the sign of life could not be sent: ${redact(messageOf(error), [address])}`);
      }
    },
  };
}
