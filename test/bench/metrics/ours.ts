/** Our history under a load, in this process and on a clock of its own. */

import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { TICKS_PER_HOUR } from '#features/metrics/store/head-runs.ts';
import { createHistory, type History, TICK_MS } from '#features/metrics/store/history.ts';
import { createIntake } from '#features/metrics/store/intake.ts';
import { TestClock } from '#kernel/clock.ts';
import { silentLogger } from '#kernel/logger.ts';
import type { LoadSeries } from './load.ts';

export interface OurRun extends AsyncDisposable {
  readonly history: History;
  readonly clock: TestClock;
  readonly path: string;
  /** Processor time of taking, logging, flushing and forgetting, by tick. */
  readonly cpuMsPerTick: number;
  /** The most processor time without a pause, of taking and of maintaining; 0 where that was not measured. */
  readonly longestStepMs: number;
  readonly samples: number;
  /** Bytes of blocks of the raw tier, and of the whole file. */
  bytes(): Promise<{ readonly rawTier: number; readonly wholeFile: number }>;
}

export const START = new Date('2026-03-01T00:00:00Z');

/** Drawing takes more than what is measured, and its garbage and its traces in the caches are not ours. */
const DRAWN_AT_ONCE = 60;

/** Of this process; a machine that others use too makes times of the wall clock say little. */
export const cpuMs = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

interface Course {
  readonly series: readonly LoadSeries[];
  readonly ticks: number;
  /** Values of one tick, made before it is measured; NaN = not measured. */
  draw(): Float64Array;
  /** From one tick to the next. */
  readonly everyMs?: number;
  /** Called after each hour; what it does is not measured. */
  afterHour?(): Promise<void>;
  /** Looking at the clock in each pause costs a tenth of a tick, so that is done in a run of its own. */
  readonly areStepsMeasured?: boolean;
}

export async function runOurs(course: Course): Promise<OurRun> {
  const { series, ticks, draw, everyMs = TICK_MS, afterHour, areStepsMeasured = false } = course;
  const stepMs = areStepsMeasured ? cpuMs : () => 0;
  const dir = await mkdtemp(join(tmpdir(), 'hv-bench-metrics-'));
  const path = join(dir, 'metrics.db');
  const clock = new TestClock(START);
  const history = createHistory({
    path,
    clock,
    log: silentLogger,
    limits: () => ({ rawDays: 7, fiveMinuteDays: 60, hourDays: 730, maxBytes: 2 ** 40 }),
    isGone: () => false,
    diskAnswers: async () => undefined,
  });
  await history.start();
  const intake = createIntake({
    book: history.book,
    log: silentLogger,
    isActive: () => true,
    onPeriod: () => undefined,
  });
  let samples = 0;
  let busyMs = 0;
  let longestStepMs = 0;
  let drawn: Float64Array[] = [];
  for (let tick = 0; tick < ticks; tick += 1) {
    if (tick % DRAWN_AT_ONCE === 0) drawn = Array.from({ length: Math.min(DRAWN_AT_ONCE, ticks - tick) }, draw);
    const values = drawn[tick % DRAWN_AT_ONCE] ?? new Float64Array(0);
    await clock.advance(everyMs);
    const before = cpuMs();
    const { sink, close } = intake.open();
    for (let n = 0; n < series.length; n += 1) {
      const each = series[n];
      if (each !== undefined) sink.put(each.owner, each.kind, each.sub, each.metric, values[n] ?? Number.NaN);
    }
    const taken = close();
    samples += taken.ids.length;
    history.take(taken, Math.round(clock.now().getTime() / TICK_MS), clock.monotonicMs());
    if (areStepsMeasured) longestStepMs = Math.max(longestStepMs, cpuMs() - before);
    await history.persist();
    // Each pause of the maintenance lets this loop look at the clock.
    const done = { isDone: false };
    const maintaining = history.maintain(true).finally(() => {
      done.isDone = true;
    });
    for (let last = stepMs(); !done.isDone; last = stepMs()) {
      await new Promise((resolve) => setImmediate(resolve));
      longestStepMs = Math.max(longestStepMs, stepMs() - last);
    }
    await maintaining;
    busyMs += cpuMs() - before;
    if ((tick + 1) % TICKS_PER_HOUR === 0) await afterHour?.();
  }
  return {
    history,
    clock,
    path,
    cpuMsPerTick: busyMs / ticks,
    longestStepMs,
    samples,
    async bytes() {
      const file = new DatabaseSync(path);
      file.exec('PRAGMA wal_checkpoint(TRUNCATE)');
      const rawTier = Number(file.prepare('SELECT sum(length(bytes)) AS n FROM chunk').get()?.['n']);
      const free = Number(file.prepare('PRAGMA freelist_count').get()?.['freelist_count']);
      const page = Number(file.prepare('PRAGMA page_size').get()?.['page_size']);
      file.close();
      return { rawTier, wholeFile: (await stat(path)).size - free * page };
    },
    async [Symbol.asyncDispose]() {
      history.close();
      await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    },
  };
}
