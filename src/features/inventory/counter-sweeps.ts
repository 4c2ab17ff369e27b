/** The one place that asks libvirt for figures of running VMs. Whoever needs them asks for a sweep and listens; sweeps are shared.
 *  Two parts: what libvirt knows by itself (state, interfaces) at each sweep, and what it must ask every QEMU for, as often as that costs. */

import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { DomainCounters, InventorySource } from './source.ts';

/** Decoding more at once would hold the event loop too long. */
const MONITOR_BATCH = 50;
const PLAIN_BATCH = 200;
/** What was read so short a time ago is not read again. */
const YOUNG_MS = 1_000;
/** The part that asks QEMUs is done this often: the shortest of which it takes no more than a quarter. Multiples of a tick of the history. */
const MONITOR_PERIODS_MS = [10_000, 20_000, 30_000, 60_000] as const;
const MAX_SHARE = 0.25;
/** Sweeps come at their time give or take this. */
const SLACK_MS = 1_500;

export interface CounterBatch {
  /** `plain` = state and interfaces; `monitor` = processors, memory and disks. */
  readonly part: 'plain' | 'monitor';
  /** Monotonic, between question and answer. */
  readonly atMs: number;
  /** By UUID; VMs that went away meanwhile are missing. */
  readonly counters: ReadonlyMap<string, DomainCounters>;
}

export interface SweepOutcome {
  /** Time of the last call of the plain part; null when libvirt did not answer. */
  readonly latencyMs: number | null;
}

export interface CounterSweeps {
  /** Resolves after the plain part, whether libvirt answered or not; the other part goes on, see `monitorPart`. Takes 5 s at most. */
  sweep(): Promise<SweepOutcome>;
  /** Resolves when no question to QEMUs is under way. */
  monitorPart(): Promise<void>;
  /** Called as answers come. @returns the function that ends it */
  onBatch(listener: (batch: CounterBatch) => void): () => void;
  /** How often QEMUs are asked now. */
  readonly monitorPeriodMs: number;
  /** When the last sweep began, monotonic; null before the first. */
  readonly lastMs: number | null;
  /** Questions to QEMUs that were given up, since the start. */
  readonly lostCalls: number;
}

interface Dependencies {
  readonly source: Pick<InventorySource, 'counters' | 'isConnected'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** UUIDs of the VMs that have a QEMU. */
  running(): readonly string[];
}

export function createCounterSweeps({ source, clock, log, running }: Dependencies): CounterSweeps {
  const listeners = new Set<(batch: CounterBatch) => void>();
  let lastMs: number | null = null;
  let lastMonitorMs: number | null = null;
  let monitorPeriodMs: number = MONITOR_PERIODS_MS[0];
  let lostCalls = 0;
  let sweeping: Promise<SweepOutcome> = Promise.resolve({ latencyMs: null });
  let isSweeping = false;
  let asking: Promise<void> | null = null;

  /** @returns how long it took @throws when libvirt gave no figures */
  const ask = async (uuids: readonly string[], part: CounterBatch['part']): Promise<number> => {
    const fromMs = clock.monotonicMs();
    const counters = await source.counters(uuids, part);
    const tookMs = clock.monotonicMs() - fromMs;
    const batch = { part, atMs: fromMs + tookMs / 2, counters };
    for (const listener of listeners) {
      try {
        listener(batch);
      } catch (error) {
        // libvirt answered; others hear of it all the same.
        log.error({ err: error }, `a listener of counters failed: ${messageOf(error)}`);
      }
    }
    return tookMs;
  };

  const askPlain = async (): Promise<SweepOutcome> => {
    try {
      let latencyMs: number | null = null;
      // With no VM at all libvirt is asked too: whether it answers is a figure itself.
      for (const batch of batches(running(), PLAIN_BATCH)) latencyMs = await ask(batch, 'plain');
      return { latencyMs };
    } catch (error) {
      log.debug({ err: error }, 'libvirt gave no figures');
      return { latencyMs: null };
    }
  };

  /** @returns what it cost; null when it was not asked, as too many questions are held already. The first question to a stuck QEMU holds
   *  the whole call; the next ones leave that VM out, so the first loss is not counted unless a second follows. */
  const askMonitorsOf = async (batch: readonly string[]): Promise<number | null> => {
    const fromMs = clock.monotonicMs();
    for (const isLast of [false, true]) {
      try {
        return await ask(batch, 'monitor');
      } catch (error) {
        if (error instanceof AppError && error.code === 'busy') return null;
        lostCalls += 1;
        log.debug({ vms: batch.length, err: error }, `QEMUs gave no figures: ${messageOf(error)}`);
        if (isLast || !source.isConnected) break;
      }
    }
    return clock.monotonicMs() - fromMs;
  };

  const askMonitors = async (): Promise<void> => {
    let costMs = 0;
    for (const batch of batches(running(), MONITOR_BATCH)) {
      const batchMs = await askMonitorsOf(batch);
      // What it costs is not known then.
      if (batchMs === null || !source.isConnected) return;
      costMs += batchMs;
    }
    monitorPeriodMs = MONITOR_PERIODS_MS.find((periodMs) => costMs <= periodMs * MAX_SHARE) ?? 60_000;
  };

  const isMonitorDue = (nowMs: number) =>
    asking === null && (lastMonitorMs === null || nowMs - lastMonitorMs >= monitorPeriodMs - SLACK_MS);

  const run = async (nowMs: number): Promise<SweepOutcome> => {
    const outcome = await askPlain();
    // A libvirt that does not answer the easy question would only lose the hard ones.
    if (outcome.latencyMs !== null && isMonitorDue(nowMs)) {
      lastMonitorMs = nowMs;
      asking = askMonitors().finally(() => {
        asking = null;
      });
    }
    return outcome;
  };

  return {
    sweep() {
      const nowMs = clock.monotonicMs();
      if (isSweeping || (lastMs !== null && nowMs - lastMs < YOUNG_MS)) return sweeping;
      lastMs = nowMs;
      isSweeping = true;
      sweeping = run(nowMs).finally(() => {
        isSweeping = false;
      });
      return sweeping;
    },
    async monitorPart() {
      await asking;
    },
    onBatch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    get monitorPeriodMs() {
      return monitorPeriodMs;
    },
    get lastMs() {
      return lastMs;
    },
    get lostCalls() {
      return lostCalls;
    },
  };
}

/** At least one, which may be empty. */
function batches(all: readonly string[], size: number): (readonly string[])[] {
  const parts = [all.slice(0, size)];
  for (let at = size; at < all.length; at += size) parts.push(all.slice(at, at + size));
  return parts;
}
