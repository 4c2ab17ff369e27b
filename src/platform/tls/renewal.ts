/** Keeps the certificate of a running daemon from ending: looks each hour and has a new one used from the next handshake on. */

import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { ServerCertificate } from './authority.ts';

const LOOK_EVERY_MS = 3_600_000;

export interface RenewalParts {
  /** The certificate to use now: the old one while it holds. */
  ensure(now: Date): Promise<ServerCertificate>;
  /** Has it shown to whoever connects from now on. */
  use(certificate: ServerCertificate): void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs until the signal. @param current the certificate in use */
export async function keepCertificate(
  current: ServerCertificate,
  { ensure, use, clock, log }: RenewalParts,
  signal: AbortSignal,
): Promise<void> {
  let { fingerprint } = current;
  while (!signal.aborted) {
    // The abort ends the sleep; that is the expected way out.
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      const next = await ensure(clock.now());
      if (next.fingerprint === fingerprint) continue;
      use(next);
      ({ fingerprint } = next);
      log.info({ fingerprint }, 'the certificate was renewed');
    } catch (error) {
      log.error({ err: error }, 'the certificate could not be renewed; the next try is in an hour');
    }
  }
}
