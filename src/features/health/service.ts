/** Runs the preflight: at start-up, every ten minutes, and when asked. Keeps the last result in memory. */

import type { ApiEvents } from '#contract/events.ts';
import type { Check, Preflight } from '#contract/system.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import { type AccelProof, type AccelService, accelOf } from './accel.ts';
import { type CheckContext, type CheckDefinition, runChecks, worstStatus } from './check.ts';

export interface RunPreflightOptions {
  /** Probes the accelerator anew instead of trusting the kept proof. */
  readonly isForced?: boolean;
  readonly signal?: AbortSignal;
  onDone?(done: number, total: number, check: Check): void;
}

export interface PreflightService {
  last(): Preflight | null;
  /** Two callers at once get one run, unless one of them forces. */
  run(options?: RunPreflightOptions): Promise<Preflight>;
  /** Runs the checks of one group now and keeps nothing of it. */
  runGroup(group: string, signal: AbortSignal): Promise<readonly Check[]>;
  /** Runs now and then every ten minutes until the signal. */
  keepFresh(signal: AbortSignal): Promise<void>;
}

export interface PreflightServiceOptions {
  readonly checks: readonly CheckDefinition[];
  readonly context: Omit<CheckContext, 'signal' | 'proof'>;
  readonly accel: AccelService;
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
  readonly log: Logger;
}

const EVERY_MS = 10 * 60_000;

export function createPreflightService({
  checks,
  context,
  accel,
  clock,
  events,
  log,
}: PreflightServiceOptions): PreflightService {
  let last: Preflight | null = null;
  let running: Promise<Preflight> | null = null;

  const runOnce = async ({
    isForced = false,
    signal = new AbortController().signal,
    onDone,
  }: RunPreflightOptions): Promise<Preflight> => {
    // Two lines ask for the proof; the guests run once.
    let proof: Promise<AccelProof> | null = null;
    const results = await runChecks(
      checks,
      {
        ...context,
        proof: () => {
          proof ??= accel.prove(isForced, signal);
          return proof;
        },
      },
      { clock, signal, ...(onDone === undefined ? {} : { onDone }) },
    );
    const known = accel.proof();
    const preflight: Preflight = {
      status: worstStatus(results),
      // Nothing proven: emulation is what VMs get meanwhile.
      accel: known === null ? 'tcg' : accelOf(known),
      checkedAt: clock.now().toISOString(),
      checks: results,
    };
    last = preflight;
    events.emit('preflight.changed', preflight);
    return preflight;
  };

  const run = async (options: RunPreflightOptions = {}): Promise<Preflight> => {
    while (running !== null) {
      const other = running;
      if (options.isForced !== true) return other;
      // The failure belongs to the caller who started that run.
      await other.catch(() => undefined);
      if (running === other) running = null;
    }
    const mine = runOnce(options);
    running = mine;
    try {
      return await mine;
    } finally {
      if (running === mine) running = null;
    }
  };

  return {
    last: () => last,
    run,
    runGroup: (group, signal) =>
      runChecks(
        checks.filter(({ id }) => id.startsWith(`${group}.`)),
        { ...context, proof: () => accel.prove(false, signal) },
        { clock, signal },
      ),
    async keepFresh(signal) {
      while (!signal.aborted) {
        try {
          const { status, accel: found, checks: lines } = await run({ signal });
          log.info(
            { status, accel: found, lines: lines.filter((line) => line.status !== 'ok').map(({ id }) => id) },
            'preflight',
          );
          await clock.sleep(EVERY_MS, signal);
        } catch (error) {
          if (signal.aborted) return;
          log.error({ err: error }, 'the preflight could not be run');
          await nap(clock, EVERY_MS, signal); // stopped while waiting
        }
      }
    },
  };
}
