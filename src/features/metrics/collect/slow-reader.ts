/** Makes a collector of something that takes long or may hang: it is read beside the ticks, at most once at a time, and what it gave goes
 *  into the first tick after it ended. */

import { TICK_MS } from '#contract/metric-catalogue.ts';
import type { Clock } from '#kernel/clock.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Collector, SampleSink } from '../sample.ts';
import { withPeriod } from './sinks.ts';

export interface SlowReader<Reading> {
  readonly name: string;
  readonly periodMs: number;
  /** @returns null when there is nothing of the kind here */
  read(signal: AbortSignal): Promise<Reading | null>;
  put(sink: SampleSink, reading: Reading): void;
}

export interface SlowCollector extends Collector {
  /** Resolves when nothing is being read. */
  settled(): Promise<void>;
  stop(): Promise<void>;
}

export interface SlowReaderContext {
  readonly clock: Clock;
  readonly log: Logger;
  /** A reading was due while the one before still went on. */
  onMissed(): void;
}

/** Ticks come at their time give or take this. */
const SLACK_MS = 1_000;
const STOP_MS = 2_000;
/** A reading that was away for longer than so many periods hung, or the machine slept: that is no period. */
const MAX_STRETCH = 5;

export function createSlowCollector<Reading>(
  reader: SlowReader<Reading>,
  { clock, log, onMissed }: SlowReaderContext,
): SlowCollector {
  const stopping = new AbortController();
  let startedMs: number | null = null;
  let putMs: number | null = null;
  let fresh: Reading | null = null;
  let reading: Promise<void> | null = null;
  let lastFailure: string | null = null;

  const read = async (): Promise<void> => {
    try {
      fresh = await reader.read(stopping.signal);
      lastFailure = null;
    } catch (error) {
      // No sample is the answer that everybody understands. The same failure is told once, not each minute.
      const failure = messageOf(error);
      if (!stopping.signal.aborted && failure !== lastFailure)
        log.warn({ reader: reader.name, err: error }, `${reader.name} could not be measured: ${failure}`);
      lastFailure = failure;
    }
  };

  return {
    name: reader.name,
    collect(sink) {
      const nowMs = clock.monotonicMs();
      if (fresh !== null) {
        const { periodMs } = reader;
        const passedMs = putMs === null ? periodMs : nowMs - putMs;
        // Readings that take longer than their period come as often as they end.
        const isLate = passedMs > periodMs + TICK_MS && passedMs <= MAX_STRETCH * periodMs;
        reader.put(withPeriod(sink, isLate ? passedMs : periodMs), fresh);
        putMs = nowMs;
        fresh = null;
      }
      if (stopping.signal.aborted || (startedMs !== null && nowMs - startedMs < reader.periodMs - SLACK_MS)) return;
      startedMs = nowMs;
      if (reading !== null) {
        onMissed();
        return;
      }
      reading = read().finally(() => {
        reading = null;
      });
    },
    async settled() {
      await reading;
    },
    async stop() {
      stopping.abort(new Error('the daemon stops'));
      // What hangs in the kernel cannot be ended; it is left behind.
      await Promise.race([reading, clock.sleep(STOP_MS)]);
    },
  };
}
