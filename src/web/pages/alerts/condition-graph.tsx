/** The figures of a condition over time, with the threshold at which it fires, the one at which it ends, and the time while it fired. */

import { useSignal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import type { Problem } from '#contract/common.ts';
import { definitionOf } from '#contract/metric-catalogue.ts';
import type { MetricRange } from '#contract/metrics.ts';
import type { GraphData, GraphMark, SeriesColour, TimeRange } from '../../components/graph/graph-data.ts';
import { TimeGraph } from '../../components/graph/time-graph.tsx';
import { valueText } from '../../components/graph/values.ts';
import { Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api, can, problemOf } from '../../state/api.ts';
import { isPageVisible } from '../../state/clock.ts';
import { alignSeries, pointsFor } from '../../state/metrics.ts';
import { text } from '../../text.ts';
import { alertsText } from '../../text-alerts.ts';
import { type DrawnFigure, drawnFigures, isDrawable, questionOf, type Subject } from './condition.ts';

const words = alertsText.graph;

const HEIGHT_PX = 220;
const MOST_LINES = 8;
const COLOURS: readonly SeriesColour[] = [1, 2, 3, 4, 5, 6, 7, 8];

export interface Condition {
  readonly condition: string;
  readonly clear: string | null;
  readonly desiredOnly: boolean;
}

/** @param subject null = everything that one may see, the highest of it
 *  @param spans while it fired
 *  @param everyMs how often it is read again; null = once */
export function ConditionGraph({
  condition,
  clear,
  desiredOnly,
  subject,
  range,
  spans,
  marks = [],
  everyMs = null,
}: Condition & {
  readonly subject: Subject | null;
  readonly range: TimeRange;
  readonly spans: readonly TimeRange[];
  readonly marks?: readonly GraphMark[];
  readonly everyMs?: number | null;
}) {
  const figures = useMemo(
    () => drawnFigures(condition, clear, desiredOnly).filter(isDrawable),
    [condition, clear, desiredOnly],
  );
  if (!can('metrics.read')) return null;
  if (figures.length === 0) return <p class="muted">{words.none}</p>;
  return (
    <div class="stack">
      {figures.map((figure) => (
        <FigureGraph
          key={figure.metric}
          figure={figure}
          subject={subject}
          range={range}
          spans={spans}
          marks={marks}
          everyMs={everyMs}
        />
      ))}
    </div>
  );
}

function FigureGraph({
  figure,
  subject,
  range,
  spans,
  marks,
  everyMs,
}: {
  readonly figure: DrawnFigure;
  readonly subject: Subject | null;
  readonly range: TimeRange;
  readonly spans: readonly TimeRange[];
  readonly marks: readonly GraphMark[];
  readonly everyMs: number | null;
}) {
  const zoom = useSignal<TimeRange | null>(null);
  const found = useSignal<{ readonly range: TimeRange; readonly answer: MetricRange } | null>(null);
  const problem = useSignal<Problem | null>(null);
  const shown = zoom.value ?? range;
  const isSeen = isPageVisible.value;
  const question = useMemo(
    () => (subject === null ? { metric: figure.metric } : questionOf(figure, subject)),
    [figure, subject],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: a page that is looked at again reads again
  useEffect(() => {
    if (!isSeen) return;
    const abort = new AbortController();
    let timer: number | null = null;
    const load = async (fromMs: number, toMs: number) => {
      try {
        const answer = await api('GET /metrics/range', {
          query: {
            ...question,
            from: new Date(fromMs).toISOString(),
            to: new Date(toMs).toISOString(),
            points: subject === null ? 120 : pointsFor(window.innerWidth),
          },
          signal: abort.signal,
        });
        if (abort.signal.aborted) return;
        found.value = { range: { fromMs, toMs }, answer };
        problem.value = null;
      } catch (error) {
        if (abort.signal.aborted) return;
        problem.value = problemOf(error);
      }
      if (everyMs === null) return;
      // It follows the clock unless somebody looks at a part of it.
      timer = window.setTimeout(() => void load(fromMs, zoom.peek() === null ? Date.now() : toMs), everyMs);
    };
    void load(shown.fromMs, shown.toMs);
    return () => {
      abort.abort();
      if (timer !== null) window.clearTimeout(timer);
    };
  }, [question, subject, shown.fromMs, shown.toMs, everyMs, isSeen, found, problem, zoom]);
  const answer = found.value;
  const data = useMemo(() => (answer === null ? null : graphOf(figure, answer.answer, spans)), [figure, answer, spans]);
  if (data === null || answer === null)
    return problem.value ? <ProblemBox isCompact problem={problem.value} /> : <Skeleton lines={5} />;
  return (
    <TimeGraph
      data={data}
      marks={marks}
      range={answer.range}
      height={HEIGHT_PX}
      onZoom={(to) => {
        zoom.value = to;
      }}
      onZoomOut={() => {
        zoom.value = null;
      }}
    />
  );
}

function graphOf(
  { metric, threshold, clear }: DrawnFigure,
  range: MetricRange,
  spans: readonly TimeRange[],
): GraphData {
  const { dimension } = definitionOf(metric);
  const { times, series } = alignSeries(range);
  const highest = (values: readonly (number | null)[]) =>
    values.reduce<number>((most, value) => (value !== null && value > most ? value : most), Number.NEGATIVE_INFINITY);
  const shown = series.toSorted((a, b) => highest(b.max) - highest(a.max)).slice(0, MOST_LINES);
  const hasBand = range.tier !== 'raw' || range.stepMs > 10_000;
  const title = text.metrics.names[metric] ?? metric.replaceAll('_', ' ');
  const limit = (value: number | null, kind: 'threshold' | 'clear') =>
    value === null ? [] : [{ value, kind, label: `${words[kind]} ${valueText(value, dimension)}` }];
  return {
    title,
    dimension,
    times,
    lines: shown.map((one, index) => ({
      id: `${one.id} ${one.sub}`,
      label: [one.name, one.sub].filter(Boolean).join(' '),
      colour: COLOURS[index] ?? 1,
      values: one.avg,
      ...(hasBand && shown.length === 1 ? { band: { min: one.min, max: one.max } } : {}),
    })),
    limits: [...limit(threshold, 'threshold'), ...limit(clear, 'clear')],
    spans,
  };
}
