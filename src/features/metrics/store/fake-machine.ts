/** A history on a clock of its own, for tests: ticks are taken as fast as they can be. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EntityKind, MetricName } from '#contract/metric-catalogue.ts';
import { TestClock } from '#kernel/clock.ts';
import type { LogFields, Logger } from '#kernel/logger.ts';
import type { Owner } from '../sample.ts';
import { createHistory, type History, TICK_MS } from './history.ts';
import { createIntake, type Intake } from './intake.ts';
import { createMemory, type Memory } from './memory.ts';
import type { RetentionLimits } from './retention.ts';

export interface Sample {
  readonly owner: Owner;
  readonly kind: EntityKind;
  readonly sub?: string;
  readonly metric: MetricName;
  readonly value: number | null;
}

export interface FakeMachine extends Disposable {
  readonly clock: TestClock;
  readonly path: string;
  history: History;
  intake: Intake;
  memory: Memory;
  readonly warnings: string[];
  /** What a test may change. */
  readonly settings: {
    limits: RetentionLimits;
    isDateBelieved: boolean;
    gone: Set<string>;
    diskAnswers: () => Promise<void>;
  };
  /** One tick with these samples, ten seconds after the one before; written and looked after as hyperd does. */
  tick(samples: readonly Sample[]): Promise<void>;
  /** Ends and begins anew, as a restart; `crash` without closing the file. */
  restart(how?: 'crash'): Promise<void>;
}

export const HOST: Owner = { type: 'host', id: 'local' };
export const vmOwner = (n: number): Owner => ({
  type: 'vm',
  id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`,
});

export async function fakeMachine(start = new Date('2026-03-01T10:00:00Z')): Promise<FakeMachine> {
  const dir = mkdtempSync(join(tmpdir(), 'hv-metrics-'));
  const path = join(dir, 'metrics.db');
  const clock = new TestClock(start);
  const warnings: string[] = [];
  const note = (_fields: LogFields, message: string) => void warnings.push(message);
  const log: Logger = { debug: () => undefined, info: () => undefined, warn: note, error: note, child: () => log };
  const settings: FakeMachine['settings'] = {
    limits: { rawDays: 7, fiveMinuteDays: 60, hourDays: 730, maxBytes: 2 ** 32 },
    isDateBelieved: true,
    gone: new Set(),
    diskAnswers: async () => undefined,
  };
  const open = () =>
    createHistory({
      path,
      clock,
      log,
      limits: () => settings.limits,
      isGone: ({ id }) => settings.gone.has(id),
      diskAnswers: () => settings.diskAnswers(),
    });
  const around = (history: History) => {
    const memory = createMemory(history, clock);
    return {
      history,
      memory,
      intake: createIntake({
        book: history.book,
        log,
        isActive: ({ id }) => memory.isActive(id),
        onPeriod: () => undefined,
      }),
    };
  };
  const first = open();
  await first.start();
  const machine: FakeMachine = {
    clock,
    path,
    warnings,
    settings,
    ...around(first),
    async tick(samples) {
      await clock.advance(TICK_MS);
      const { sink, close } = machine.intake.open();
      for (const { owner, kind, sub = '', metric, value } of samples) sink.put(owner, kind, sub, metric, value);
      machine.history.take(close(), Math.round(clock.now().getTime() / TICK_MS), clock.monotonicMs());
      await machine.history.persist();
      await machine.history.maintain(settings.isDateBelieved);
    },
    async restart(how) {
      if (how !== 'crash') machine.history.close();
      const again = open();
      await again.start();
      Object.assign(machine, around(again));
    },
    [Symbol.dispose]() {
      machine.history.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return machine;
}
