/** Keeps the certificate of a running daemon from ending: looks now and then, and has a new one used from the next handshake on. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { ServerCertificate } from './pair.ts';

export interface RenewalParts {
  /** The certificate to use now: the old one while it holds. */
  ensure(now: Date): Promise<ServerCertificate>;
  /** Has it shown to whoever connects from now on. */
  use(certificate: ServerCertificate): void;
  /** How long to wait before the first look and before each further one. */
  readonly looks: { readonly firstMs: number; readonly everyMs: number };
  readonly clock: Clock;
  readonly log: Logger;
}

/** Runs until the signal. @param current the certificate in use */
export async function keepCertificate(
  current: ServerCertificate,
  { ensure, use, looks, clock, log }: RenewalParts,
  signal: AbortSignal,
): Promise<void> {
  let { fingerprint } = current;
  let waitMs = looks.firstMs;
  let lastTrouble = '';
  while (!signal.aborted) {
    await nap(clock, waitMs, signal);
    if (signal.aborted) return;
    waitMs = looks.everyMs;
    try {
      const next = await ensure(clock.now());
      lastTrouble = '';
      if (next.fingerprint === fingerprint) continue;
      use(next);
      ({ fingerprint } = next);
      log.info({ fingerprint }, 'the certificate was renewed');
    } catch (error) {
      // The same trouble every few seconds is told of once.
      const trouble = messageOf(error);
      if (trouble !== lastTrouble && !signal.aborted)
        log.error({ err: error, nextTryMs: waitMs }, `the certificate could not be renewed: ${trouble}`);
      lastTrouble = trouble;
    }
  }
}
