/** Pings the host and tells when it has stopped answering. The host pings too, but only connections that asked for it. */

import type { Clock } from '#kernel/clock.ts';

export interface KeepaliveRate {
  readonly intervalMs: number;
  /** Intervals without a byte from the host after which it counts as dead. */
  readonly count: number;
}

export interface KeepaliveHooks {
  readonly clock: Clock;
  /** Aborted when the connection ends. */
  readonly signal: AbortSignal;
  /** Whether the host gave a sign of life since the last question. */
  heard(): boolean;
  ping(): void;
  /** Called once, with how long nothing was heard. */
  onDead(silentMs: number): void;
}

/** Runs until the connection ends or the host is dead. */
export async function keepAlive({ intervalMs, count }: KeepaliveRate, hooks: KeepaliveHooks): Promise<void> {
  let missed = 0;
  while (missed < count) {
    try {
      await hooks.clock.sleep(intervalMs, hooks.signal);
    } catch {
      return; // the connection ended
    }
    missed = hooks.heard() ? 0 : missed + 1;
    if (missed < count) hooks.ping();
  }
  hooks.onDead(missed * intervalMs);
}
