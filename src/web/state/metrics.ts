/** Reads the history for graphs: again when another time is chosen, and as often as a new point can be seen while it follows the clock. */

import { type ReadonlySignal, useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import type { MetricRange } from '#contract/metrics.ts';
import type { TimeRange } from '../components/graph/graph-data.ts';
import { chosenRange, refreshMs, timesOf } from '../components/graph/range.ts';
import { api, problemOf } from './api.ts';
import { isPageVisible } from './clock.ts';

export interface Reading<Answer> {
  /** Null until the first answer. */
  readonly answer: ReadonlySignal<Answer | null>;
  readonly problem: ReadonlySignal<Problem | null>;
  retry(): void;
}

/** What was read, and for which time. */
export interface History {
  readonly range: TimeRange;
  readonly answer: MetricRange;
}

/** A reading that follows the chosen range.
 *  @param key names what is asked for; another key reads anew
 *  @param read one request for a span of time */
export function useHistory(
  key: string,
  read: (range: { readonly from: string; readonly to: string; readonly signal: AbortSignal }) => Promise<MetricRange>,
): Reading<History> {
  const answer = useSignal<History | null>(null);
  const problem = useSignal<Problem | null>(null);
  const attempt = useSignal(0);
  const chosen = chosenRange.value;
  const isSeen = isPageVisible.value;
  const tries = attempt.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `read` is made anew at each drawing; the key says when it asks for something else
  useEffect(() => {
    if (!isSeen) return;
    const abort = new AbortController();
    let timer: number | null = null;
    const load = async () => {
      const range = timesOf(chosen, Date.now());
      try {
        const found = await read({
          from: new Date(range.fromMs).toISOString(),
          to: new Date(range.toMs).toISOString(),
          signal: abort.signal,
        });
        if (abort.signal.aborted) return;
        answer.value = { range, answer: found };
        problem.value = null;
      } catch (error) {
        if (abort.signal.aborted) return;
        problem.value = problemOf(error);
      }
      const every = refreshMs(chosen);
      if (every !== null) timer = window.setTimeout(() => void load(), every);
    };
    void load();
    return () => {
      abort.abort();
      if (timer !== null) window.clearTimeout(timer);
    };
  }, [key, chosen, isSeen, tries]);
  return useMemo(
    () => ({
      answer,
      problem,
      retry() {
        attempt.value += 1;
      },
    }),
    [answer, problem, attempt],
  );
}

/** About one point for two pixels. */
export function pointsFor(widthPx: number): number {
  return Math.max(120, Math.min(1500, Math.round(widthPx / 2)));
}

/** @param entity as `host` or `vm:ID` */
export function useFigures(entity: string, metrics: readonly string[]): Reading<History> {
  const metric = metrics.join(',');
  return useHistory(`${entity} ${metric}`, ({ from, to, signal }) =>
    api('GET /metrics/range', {
      query: { entity, metric, from, to, points: pointsFor(window.innerWidth) },
      signal,
    }),
  );
}

/** The times of all series in order, and each series laid over them; a time that a series has no point for is a gap. */
export function alignSeries(range: MetricRange): {
  readonly times: readonly number[];
  readonly series: readonly MetricRange['series'][number][];
} {
  const [first, ...others] = range.series;
  if (!first) return { times: [], series: [] };
  const isShared = others.every(
    ({ atMs }) => atMs.length === first.atMs.length && atMs.every((at, index) => at === first.atMs[index]),
  );
  if (isShared) return { times: first.atMs, series: range.series };
  const times = [...new Set(range.series.flatMap(({ atMs }) => atMs))].sort((a, b) => a - b);
  const places = new Map(times.map((at, index) => [at, index]));
  const lay = (atMs: readonly number[], values: readonly (number | null)[]) => {
    const column = new Array<number | null>(times.length).fill(null);
    for (const [index, at] of atMs.entries()) {
      const place = places.get(at);
      if (place !== undefined) column[place] = values[index] ?? null;
    }
    return column;
  };
  return {
    times,
    series: range.series.map((one) => ({
      ...one,
      atMs: [...times],
      min: lay(one.atMs, one.min),
      avg: lay(one.atMs, one.avg),
      max: lay(one.atMs, one.max),
    })),
  };
}
