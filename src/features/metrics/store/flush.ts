/** Writes an hour that is over: a chunk for each owner, and for each metric what the hour came to in the coarser tiers. Each step is
 *  small, so that the daemon answers meanwhile; all steps may be repeated, so a crash in the middle costs nothing: the log of ticks
 *  goes last. */

import { definitionOf, type MetricName } from '#contract/metric-catalogue.ts';
import type { Entry } from './book.ts';
import type { Column } from './chunk.ts';
import type { Chunks } from './chunks.ts';
import type { MetricsFile } from './file.ts';
import { TICKS_PER_HOUR } from './head-runs.ts';
import { type Rollup, rollUp } from './rollup.ts';
import { type Rollups, TIERS } from './rollups.ts';
import type { SeriesRows } from './series-rows.ts';

/** How long one step may keep the daemon from answering. */
const STEP_MS = 15;

/** The columns of an owner in the hour. */
export interface FlushedOwner {
  readonly number: number;
  readonly entries: readonly Entry[];
  columns(): readonly Column[];
}

export interface Flush {
  readonly hour: number;
  readonly owners: Iterable<FlushedOwner>;
}

export interface FlushParts {
  readonly file: MetricsFile;
  readonly chunks: Chunks;
  readonly rollups: Rollups;
  readonly rows: SeriesRows;
}

interface MetricLines {
  readonly number: number;
  readonly lines: Rollup[][];
}

/** @param pause lets others run; called between steps
 *  @throws errors of SQLite; what was written until then stays and is written again with the next attempt */
export async function flushHour(parts: FlushParts, { hour, owners }: Flush, pause: () => Promise<void>): Promise<void> {
  const { file, chunks, rollups, rows } = parts;
  const metrics = new Map<MetricName, MetricLines>();
  const iterator = owners[Symbol.iterator]();
  for (let isMore = true; isMore; ) {
    const endMs = performance.now() + STEP_MS;
    file.transaction(() => {
      while (performance.now() < endMs) {
        const next = iterator.next();
        isMore = !next.done;
        if (next.done) return;
        const columns = next.value.columns();
        if (columns.length === 0) continue;
        const merged = chunks.merge(next.value.number, hour, columns);
        rows.markSeen(next.value.number, hour);
        rollUpOwner(next.value.entries, merged, metrics);
      }
    });
    await pause();
  }
  const waiting = [...metrics];
  while (waiting.length > 0) {
    const endMs = performance.now() + STEP_MS;
    file.transaction(() => {
      while (performance.now() < endMs) {
        const [name, { number, lines }] = waiting.pop() ?? [null, { number: 0, lines: [] }];
        if (name === null) return;
        for (const [n, tier] of TIERS.entries()) {
          const sorted = (lines[n] ?? []).sort((a, b) => a.series - b.series);
          rollups.merge(tier, { name, number }, hour, sorted);
        }
      }
    });
    await pause();
  }
}

function rollUpOwner(
  entries: readonly Entry[],
  columns: readonly Column[],
  metrics: Map<MetricName, MetricLines>,
): void {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  for (const column of columns) {
    const entry = byId.get(column.series);
    if (entry === undefined) continue;
    const known = metrics.get(entry.metric) ?? { number: entry.metricNumber, lines: TIERS.map(() => []) };
    metrics.set(entry.metric, known);
    for (const [n, { perHour }] of TIERS.entries())
      known.lines[n]?.push(rollUp(column, definitionOf(entry.metric), TICKS_PER_HOUR / perHour, perHour));
  }
}
