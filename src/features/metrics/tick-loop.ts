/** Every ten seconds, at the full ten seconds of the wall clock, all collectors are asked at once. Whoever is late is left out: what he
 *  put until then counts, and he is not asked again before he has ended. */

import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Collector, SampleSink } from './sample.ts';

export interface TickLoopOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly tickMs: number;
  /** How long a tick waits for its collectors. */
  readonly deadlineMs: number;
}

export interface TickLoop {
  /** Answers the function that takes it out again. @throws TypeError for a name that is there already */
  add(collector: Collector): () => void;
  /** Asks all collectors once. Never rejects, and ends at the deadline at the latest. */
  collect(sink: SampleSink, signal: AbortSignal): Promise<void>;
  /** Calls back at each full tick, with ticks since 1970 by the wall clock, until the signal. A tick that fails is told of and the next one comes
   *  all the same; ticks that were missed are not made up for. */
  run(signal: AbortSignal, act: (wallTick: number) => Promise<void>): Promise<void>;
  /** Measurements that were left out since the start. */
  readonly missed: number;
}

/** A timer may wake this long before its time; that moment belongs to the tick that it was set for. */
const EARLY_MS = 50;

interface Member {
  readonly collector: Collector;
  isBusy: boolean;
  isFailing: boolean;
}

export function createTickLoop({ clock, log, tickMs, deadlineMs }: TickLoopOptions): TickLoop {
  const members = new Map<string, Member>();
  let missed = 0;

  const ask = async (member: Member, sink: SampleSink, signal: AbortSignal): Promise<void> => {
    member.isBusy = true;
    try {
      await member.collector.collect(sink, signal);
      if (member.isFailing) log.info({ collector: member.collector.name }, 'the collector works again');
      member.isFailing = false;
    } catch (error) {
      // One warning until it works again: it is asked every ten seconds.
      if (!member.isFailing && !signal.aborted)
        log.warn({ collector: member.collector.name, err: error }, `a collector failed: ${messageOf(error)}`);
      member.isFailing = true;
    } finally {
      member.isBusy = false;
    }
  };

  return {
    add(collector) {
      if (members.has(collector.name)) throw new TypeError(`two collectors are called "${collector.name}"`);
      members.set(collector.name, { collector, isBusy: false, isFailing: false });
      return () => void members.delete(collector.name);
    },
    async collect(sink, signal) {
      const deadline = new AbortController();
      const onStop = () => deadline.abort(signal.reason);
      signal.addEventListener('abort', onStop, { once: true });
      const idle: Member[] = [];
      for (const member of members.values()) {
        if (member.isBusy) missed += 1;
        else idle.push(member);
      }
      const all = Promise.all(idle.map((member) => ask(member, sink, deadline.signal)));
      const timer = new AbortController();
      const late = clock.sleep(deadlineMs, AbortSignal.any([timer.signal, signal])).then(
        () => deadline.abort(new Error('the tick ends')),
        // Everybody was in time, or the daemon stops.
        () => undefined,
      );
      await Promise.race([all, late]);
      timer.abort();
      signal.removeEventListener('abort', onStop);
      for (const { collector, isBusy } of idle) {
        if (!isBusy) continue;
        missed += 1;
        log.debug({ collector: collector.name }, 'a collector was late');
      }
    },
    async run(signal, act) {
      let isFailing = false;
      while (!signal.aborted) {
        const nowMs = clock.now().getTime();
        await nap(clock, tickMs + EARLY_MS - ((nowMs + EARLY_MS) % tickMs), signal);
        if (signal.aborted) return;
        try {
          await act(Math.round(clock.now().getTime() / tickMs));
          isFailing = false;
        } catch (error) {
          // The next tick may do better; one warning until then. Without this nothing would ever be measured again.
          if (!isFailing) log.error({ err: error }, `a tick failed: ${messageOf(error)}`);
          isFailing = true;
        }
      }
    },
    get missed() {
      return missed;
    },
  };
}
