/** One timer for many deadlines: it fires at the earliest. A timer per call would cost more than a small call. */

import type { Clock } from '#kernel/clock.ts';

export class DeadlineTimer {
  readonly #clock: Clock;
  readonly #onDue: (nowMs: number) => void;
  #dueMs = Number.POSITIVE_INFINITY;
  #sleep: AbortController | null = null;

  /** @param onDue called when a deadline has come; arms the timer again for the next one */
  constructor(clock: Clock, onDue: (nowMs: number) => void) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  /** Fires at `dueMs` of the monotonic clock, or at an earlier time asked for before. */
  armFor(dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    this.#sleep?.abort();
    const sleep = new AbortController();
    this.#sleep = sleep;
    this.#dueMs = dueMs;
    this.#clock.sleep(Math.max(0, dueMs - this.#clock.monotonicMs()), sleep.signal).then(
      () => {
        this.#dueMs = Number.POSITIVE_INFINITY;
        // A timer may fire up to a millisecond early.
        this.#onDue(this.#clock.monotonicMs() + 1);
      },
      () => undefined, // replaced by an earlier deadline, or stopped
    );
  }

  stop(): void {
    this.#sleep?.abort();
  }
}
