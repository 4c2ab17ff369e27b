/** All graphs of a VM or of the host, over one span of time and with one crosshair. */

import { useMemo } from 'preact/hooks';
import { isMetric } from '#contract/metric-catalogue.ts';
import { useMarks } from '../../state/marks.ts';
import { alignSeries, useFigures } from '../../state/metrics.ts';
import { text } from '../../text.ts';
import { Skeleton } from '../page.tsx';
import { ProblemBox } from '../problem-box.tsx';
import { type GraphSet, graphOf, type Measured } from './graph-sets.ts';
import { hiddenKinds, MarkLegend } from './mark-legend.tsx';
import { zoomOut, zoomTo } from './range.ts';
import { RangeBar } from './range-bar.tsx';
import { TimeGraph } from './time-graph.tsx';

const words = text.graphs;

const ALL_SHOWN = () => false;

export function GraphWall({
  entity,
  sets,
  isHidden = ALL_SHOWN,
}: {
  /** `host` or `vm:ID`. */
  readonly entity: string;
  readonly sets: readonly GraphSet[];
  /** Parts that are not shown, as drives for ISOs. */
  readonly isHidden?: (sub: string) => boolean;
}) {
  const metrics = useMemo(
    () => [...new Set(sets.flatMap(({ lines }) => lines.map(({ metric }) => metric)))].sort(),
    [sets],
  );
  const { answer, problem, retry } = useFigures(entity, metrics);
  const found = answer.value;
  const { found: marked, problem: markProblem } = useMarks(entity.startsWith('vm:') ? entity.slice(3) : null);
  const { marks, leftOut } = marked.value;
  const hidden = hiddenKinds.value;
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is hidden is a signal of another module
  const shownMarks = useMemo(() => marks.filter(({ kind }) => !hidden.has(kind)), [marks, hidden]);
  const graphs = useMemo(() => {
    if (found === null) return [];
    const { times, series } = alignSeries(found.answer);
    const measured = series.flatMap((one): Measured[] =>
      isMetric(one.metric) && !isHidden(one.sub) ? [{ ...one, metric: one.metric, name: one.sub }] : [],
    );
    const isMerged = found.answer.tier !== 'raw' || found.answer.stepMs > 10_000;
    return sets.flatMap((set) => {
      const data = graphOf(set, times, measured, isMerged);
      return data === null ? [] : [{ id: set.id, data }];
    });
  }, [found, sets, isHidden]);
  return (
    <div class="stack">
      <div class="graph-wall-head">
        <RangeBar />
        {found && found.answer.tier !== 'raw' && <span class="muted small">{words.tiers[found.answer.tier]}</span>}
      </div>
      {found && (
        <div class="graph-wall-marks">
          <MarkLegend marks={marks} range={found.range} />
          {leftOut > 0 && <span class="muted small">{words.marks.leftOut(leftOut)}</span>}
        </div>
      )}
      {markProblem.value && <ProblemBox isCompact problem={markProblem.value} />}
      {problem.value && <ProblemBox problem={problem.value} onRetry={retry} />}
      {found ? (
        <div class="graphs">
          {graphs.map(({ id, data }) => (
            <section key={id} class="card">
              <TimeGraph data={data} marks={shownMarks} range={found.range} onZoom={zoomTo} onZoomOut={zoomOut} />
            </section>
          ))}
        </div>
      ) : (
        !problem.value && <Skeleton lines={8} />
      )}
    </div>
  );
}
