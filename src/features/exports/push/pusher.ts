/** Sends to one target what was measured, oldest first. Sixty measurements wait at most; when it is away for longer the oldest are given
 *  up. Nothing ever waits for a target but its own queue. */

import type { PushStatus } from '#contract/metrics.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Snapshot } from './snapshot.ts';
import type { OpenTarget, PushAnswer } from './target.ts';

export interface Pusher {
  offer(snapshot: Snapshot): void;
  /** Sends until the signal. */
  run(signal: AbortSignal): Promise<void>;
  status(): PushStatus;
  /** How long it has failed without a pause; 0 while it works. */
  failingMs(): number;
}

export interface PusherOptions {
  readonly target: OpenTarget;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random: () => number;
}

export const MAX_QUEUED = 60;
/** Series of one request: a body of half a megabyte, made in a few milliseconds. */
const BATCH = 2_000;
const FIRST_WAIT_MS = 5_000;
const LONGEST_WAIT_MS = 60_000;
const IDLE_MS = 3_600_000;

/** What becomes of a measurement after an answer. `wait`: the target may take it later, also when a right or a database is missing that an
 *  administrator adds; `refused`: it will never take these figures. */
function fateOf({ status }: PushAnswer): 'sent' | 'wait' | 'refused' {
  if (status >= 200 && status < 300) return 'sent';
  return [400, 413, 415, 422].includes(status) ? 'refused' : 'wait';
}

export function createPusher({ target, clock, log, random }: PusherOptions): Pusher {
  const queue: Snapshot[] = [];
  let droppedTicks = 0;
  let sentSamples = 0;
  let lastSentAt: Date | null = null;
  let failing: { readonly since: Date; readonly sinceMs: number; readonly error: string } | null = null;
  let failures = 0;
  let wake = new AbortController();

  const failed = (error: string) => {
    if (failing === null) log.warn({ target: target.name }, `figures are not taken: ${error}`);
    failing = { since: clock.now(), sinceMs: clock.monotonicMs(), ...failing, error };
  };
  const done = (snapshot: Snapshot) => {
    // It may have been given up meanwhile.
    if (queue[0] === snapshot) queue.shift();
  };

  /** Sends one measurement. Answers how long to wait before the next attempt. */
  const send = async (snapshot: Snapshot, signal: AbortSignal): Promise<number> => {
    for (let from = 0; from < snapshot.series.length; from += BATCH) {
      const to = Math.min(from + BATCH, snapshot.series.length);
      const answer = await target.send(snapshot, from, to, signal);
      const fate = fateOf(answer);
      if (fate === 'sent') continue;
      failed(`it answers ${answer.status}${answer.words === '' ? '' : `: ${answer.words}`}`);
      if (fate === 'wait') return waitMs(answer.retryAfter);
      droppedTicks += queue[0] === snapshot ? 1 : 0;
      done(snapshot);
      return 0;
    }
    done(snapshot);
    sentSamples += snapshot.series.length;
    lastSentAt = clock.now();
    if (failing !== null) log.info({ target: target.name }, 'figures are taken again');
    failing = null;
    failures = 0;
    return 0;
  };
  /** @param retryAfter seconds that the target asks for; a date is not heeded, no answer is far away anyhow */
  const waitMs = (retryAfter: string | null): number => {
    failures += 1;
    const askedMs = /^\d+$/.test(retryAfter ?? '') ? Number(retryAfter) * 1000 : 0;
    const backOffMs = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 10));
    return Math.min(LONGEST_WAIT_MS, Math.max(askedMs, backOffMs * (0.5 + random() / 2)));
  };

  return {
    offer(snapshot) {
      queue.push(snapshot);
      if (queue.length > MAX_QUEUED) {
        queue.shift();
        droppedTicks += 1;
      }
      wake.abort(new Error('there is something to send'));
    },
    async run(signal) {
      while (!signal.aborted) {
        const [next] = queue;
        if (next === undefined) {
          wake = new AbortController();
          // Both the stop and something to send end the sleep; that is the expected way out.
          await nap(clock, IDLE_MS, AbortSignal.any([signal, wake.signal]));
          continue;
        }
        const pauseMs = await send(next, signal).catch((error: unknown) => {
          if (signal.aborted) return 0;
          failed(messageOf(error));
          return waitMs(null);
        });
        if (pauseMs > 0) await nap(clock, pauseMs, signal);
      }
    },
    status: () => ({
      name: target.name,
      kind: target.kind,
      address: target.address,
      state: failing !== null ? 'failing' : lastSentAt === null ? 'waiting' : 'ok',
      since: failing?.since.toISOString() ?? null,
      queuedTicks: queue.length,
      droppedTicks,
      sentSamples,
      lastSentAt: lastSentAt?.toISOString() ?? null,
      error: failing?.error ?? null,
    }),
    failingMs: () => (failing === null ? 0 : clock.monotonicMs() - failing.sinceMs),
  };
}
