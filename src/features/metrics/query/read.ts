/** Reads the history: picks the tier that is fine enough and still there, and brings what it holds onto the points of a graph. Works in
 *  short steps and gives up when the question is too large. */

import { definitionOf, type EntityKind, type MetricName } from '#contract/metric-catalogue.ts';
import { AppError } from '#kernel/errors.ts';
import type { SeriesKey } from '../sample.ts';
import type { Entry, OwnerBook } from '../store/book.ts';
import type { Column } from '../store/chunk.ts';
import { TICKS_PER_HOUR } from '../store/head-runs.ts';
import { type History, TICK_MS } from '../store/history.ts';
import { averageDigits, type Rollup, rollUp } from '../store/rollup.ts';
import { TIERS, type Tier } from '../store/rollups.ts';
import { type Cells, createCells } from './cells.ts';

export interface ReadRequest {
  readonly metric: MetricName;
  readonly owners: readonly OwnerBook[];
  readonly kind?: EntityKind | undefined;
  readonly sub?: string | undefined;
  readonly fromMs: number;
  readonly toMs: number;
  /** Absent = all that there is: samples as they were measured, or the buckets of a coarser tier. */
  readonly points?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadSeries {
  readonly key: SeriesKey;
  readonly atMs: readonly number[];
  readonly min: readonly (number | null)[];
  readonly avg: readonly (number | null)[];
  readonly max: readonly (number | null)[];
  /** Of an enum: seconds in each state. */
  readonly stateSeconds: ReadonlyMap<number, number> | null;
}

export interface ReadResult {
  readonly stepMs: number;
  readonly tier: 'raw' | Tier['name'];
  readonly series: readonly ReadSeries[];
}

const HOUR_MS = 3_600_000;
const HOURS_PER_DAY = 24;
const MAX_SAMPLES = 5_000_000;
const MAX_BUSY_MS = 2_000;
const STEP_MS = 15;

/** What one question may cost, and the pauses in which others are served. */
interface Budget {
  /** Counts samples. */
  spend(samples: number): void;
  breathe(): Promise<void>;
}

/** @throws metrics_budget */
function createBudget(signal: AbortSignal | undefined): Budget {
  let [samples, busyMs, sinceMs] = [0, 0, performance.now()];
  return {
    spend(more) {
      samples += more;
      if (samples > MAX_SAMPLES)
        throw new AppError('metrics_budget', {
          detail: `It would have to read more than ${MAX_SAMPLES / 1e6} million samples.`,
        });
    },
    async breathe() {
      const stepMs = performance.now() - sinceMs;
      if (stepMs < STEP_MS) return;
      busyMs += stepMs;
      if (busyMs > MAX_BUSY_MS)
        throw new AppError('metrics_budget', {
          detail: `Reading it would take longer than ${MAX_BUSY_MS / 1000} seconds.`,
        });
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
      sinceMs = performance.now();
    },
  };
}

export function createReader(history: History): (request: ReadRequest) => Promise<ReadResult> {
  /** The coarsest tier that is fine enough; one that reaches further back where that one is forgotten already. */
  const tierFor = ({ fromMs, toMs, points }: ReadRequest): Tier | null => {
    const wantedMs = points === undefined ? TICK_MS : (toMs - fromMs) / points;
    const tiers: (Tier | null)[] = [null, ...TIERS];
    const stepOf = (tier: Tier | null) => (tier === null ? TICK_MS : tier.seconds * 1000);
    const oldestOf = (tier: Tier | null) =>
      (tier === null ? history.rawHours()?.first : history.rollups().oldestHour(tier)) ?? Number.POSITIVE_INFINITY;
    let at = Math.max(
      0,
      tiers.findLastIndex((tier) => stepOf(tier) <= wantedMs),
    );
    const fromHour = Math.floor(fromMs / HOUR_MS);
    while (at < tiers.length - 1 && oldestOf(tiers[at] ?? null) > fromHour) {
      const [here, next] = [oldestOf(tiers[at] ?? null), oldestOf(tiers[at + 1] ?? null)];
      // Rows of a whole day begin at midnight, whenever its first sample was.
      if (next > here - HOURS_PER_DAY) break;
      at += 1;
    }
    return tiers[at] ?? null;
  };

  const entriesOf = ({ owners, metric, kind, sub }: ReadRequest): (readonly [OwnerBook, Entry[]])[] =>
    owners
      .map((owner) => {
        const isWanted = (entry: Entry) =>
          entry.metric === metric &&
          (kind === undefined || entry.kind === kind) &&
          (sub === undefined || entry.sub === sub);
        return [owner, owner.entries.filter(isWanted)] as const;
      })
      .filter(([, entries]) => entries.length > 0);

  /** Calls back for each hour of a series, by owner and time; hours at the ends hold samples of other times too. */
  const eachColumn = async (
    request: ReadRequest,
    budget: Budget,
    take: (entry: Entry, hourMs: number, column: Column) => void,
  ): Promise<void> => {
    const known = history.rawHours();
    if (known === null) return;
    const firstHour = Math.max(Math.floor(request.fromMs / HOUR_MS), known.first);
    const lastHour = Math.min(Math.floor(request.toMs / HOUR_MS), known.last);
    for (const [owner, entries] of entriesOf(request)) {
      const byId = new Map(entries.map((entry) => [entry.id, entry]));
      const wanted = new Set(byId.keys());
      for (let hour = firstHour; hour <= lastHour; hour += 1) {
        for (const column of history.columns(owner, hour, wanted)) {
          const entry = byId.get(column.series);
          budget.spend(column.values.length);
          if (entry !== undefined) take(entry, hour * HOUR_MS, column);
        }
        await budget.breathe();
      }
    }
  };

  const eachRollup = async (
    request: ReadRequest,
    tier: Tier,
    budget: Budget,
    take: (rollup: Rollup, startMs: number) => void,
  ): Promise<void> => {
    const { metric } = request;
    const number = history.book.metricNumber(metric);
    const chosen = entriesOf(request);
    const wanted = new Set(chosen.flatMap(([, entries]) => entries.map(({ id }) => id)));
    const [firstHour, lastHour] = [Math.floor(request.fromMs / HOUR_MS), Math.floor(request.toMs / HOUR_MS)];
    // Memory knows more of these than the disk, on which they may be half written.
    const inMemory = history.unwrittenHours().filter((hour) => hour >= firstHour && hour <= lastHour);
    const rows =
      number === null ? [] : history.rollups().read(tier, { name: metric, number }, firstHour, lastHour, wanted);
    for (const { hour, block } of rows) {
      for (const { series, buckets } of block.rollups) {
        const shown = buckets.map((bucket, n) =>
          inMemory.includes(hour + Math.floor(n / tier.perHour)) ? null : bucket,
        );
        budget.spend(buckets.length);
        take({ series, buckets: inMemory.length === 0 ? buckets : shown }, hour * HOUR_MS);
      }
      await budget.breathe();
    }
    for (const hour of inMemory) {
      for (const [owner, entries] of chosen) {
        for (const column of history.columns(owner, hour, new Set(entries.map(({ id }) => id)))) {
          budget.spend(column.values.length);
          take(rollUp(column, definitionOf(metric), TICKS_PER_HOUR / tier.perHour, tier.perHour), hour * HOUR_MS);
        }
        await budget.breathe();
      }
    }
  };

  const readSamples = async (request: ReadRequest, budget: Budget): Promise<ReadResult> => {
    const lines = new Map<Entry, { atMs: number[]; values: number[] }>();
    await eachColumn(request, budget, (entry, hourMs, { offsets, values }) => {
      const line = lines.get(entry) ?? { atMs: [], values: [] };
      for (const [n, offset] of offsets.entries()) {
        const atMs = hourMs + offset * TICK_MS;
        if (atMs < request.fromMs || atMs > request.toMs) continue;
        lines.set(entry, line);
        line.atMs.push(atMs);
        line.values.push((values[n] ?? 0) / entry.factor);
      }
    });
    const series = [...lines].map(([key, { atMs, values }]) => ({
      key,
      atMs,
      min: values,
      avg: values,
      max: values,
      stateSeconds: null,
    }));
    return { stepMs: TICK_MS, tier: 'raw', series };
  };

  return async (request) => {
    const budget = createBudget(request.signal);
    const tier = tierFor(request);
    if (tier === null && request.points === undefined) return readSamples(request, budget);
    const baseMs = tier === null ? TICK_MS : tier.seconds * 1000;
    const wantedMs = request.points === undefined ? baseMs : (request.toMs - request.fromMs) / request.points;
    const stepMs = Math.max(1, Math.ceil(wantedMs / baseMs)) * baseMs;
    const startMs = Math.floor(request.fromMs / stepMs) * stepMs;
    const length = Math.floor((request.toMs - startMs) / stepMs) + 1;
    const cells = new Map<number, { readonly entry: Entry; readonly cells: Cells }>();
    for (const [, entries] of entriesOf(request))
      for (const entry of entries)
        cells.set(entry.id, {
          entry,
          cells: createCells(request.metric, { startMs, stepMs, length, fromMs: request.fromMs, toMs: request.toMs }),
        });
    budget.spend(cells.size * length);

    if (tier === null) {
      await eachColumn(request, budget, (entry, hourMs, column) =>
        cells.get(entry.id)?.cells.addColumn(column, hourMs, entry.factor),
      );
    } else {
      const digits = 10 ** averageDigits(definitionOf(request.metric));
      await eachRollup(request, tier, budget, ({ series, buckets }, rowMs) => {
        const line = cells.get(series);
        if (line === undefined) return;
        const { factor } = line.entry;
        for (const [n, bucket] of buckets.entries()) {
          if (bucket === null) continue;
          const figures = {
            min: bucket.min / factor,
            average: bucket.average / factor / digits,
            max: bucket.max / factor,
          };
          line.cells.addBucket(rowMs + n * baseMs, bucket, figures);
        }
      });
    }
    const atMs = Array.from({ length }, (_, n) => startMs + n * stepMs);
    const series = [...cells.values()].map(({ entry, cells: filled }) => ({
      key: entry,
      atMs,
      ...filled.read(),
      stateSeconds: secondsOf(entry, filled.states),
    }));
    return {
      stepMs,
      tier: tier?.name ?? 'raw',
      series: series.filter(({ avg }) => avg.some((value) => value !== null)),
    };
  };
}

/** A state holds until the next sample; repeated ones come each minute. */
function secondsOf({ metric }: Entry, counts: ReadonlyMap<number, number>): ReadonlyMap<number, number> | null {
  const { dimension, periodSeconds } = definitionOf(metric);
  if (dimension !== 'enum') return null;
  return new Map([...counts].map(([state, count]) => [state, count * (periodSeconds === 0 ? 60 : periodSeconds)]));
}
