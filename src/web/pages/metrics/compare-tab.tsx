/** One figure of all VMs: those with the most as lines, all of them in a table. */

import { useMemo } from 'preact/hooks';
import { definitionOf, isMetric, METRIC_NAMES, type MetricName } from '#contract/metric-catalogue.ts';
import type { MetricRange } from '#contract/metrics.ts';
import { Sparkline } from '../../components/figures.tsx';
import { isSearched, SearchField } from '../../components/filters.tsx';
import type { GraphData, SeriesColour } from '../../components/graph/graph-data.ts';
import { zoomOut, zoomTo } from '../../components/graph/range.ts';
import { RangeBar } from '../../components/graph/range-bar.tsx';
import { TimeGraph } from '../../components/graph/time-graph.tsx';
import { valueText } from '../../components/graph/values.ts';
import { Card, EmptyState, Skeleton } from '../../components/page.tsx';
import { ProblemBox } from '../../components/problem-box.tsx';
import { api } from '../../state/api.ts';
import { alignSeries, pointsFor, useHistory } from '../../state/metrics.ts';
import { currentQuery, setQuery } from '../../state/router.ts';
import { text } from '../../text.ts';

const words = text.metrics;

const NOT_COMPARED: readonly string[] = ['enum', 'bool', 'timestamp', 'count'];
const VM_METRICS = METRIC_NAMES.filter((name) => {
  const { kinds, dimension } = definitionOf(name);
  return (
    kinds.some((kind) => kind === 'vm' || kind === 'vdisk' || kind === 'vnic') && !NOT_COMPARED.includes(dimension)
  );
});
const MOST_LINES = 8;
const COLOURS: readonly SeriesColour[] = [1, 2, 3, 4, 5, 6, 7, 8];

export function CompareTab() {
  const wanted = currentQuery.value.get('metric') ?? '';
  const metric: MetricName = isMetric(wanted) && VM_METRICS.includes(wanted) ? wanted : 'cpu_usage';
  const { answer, problem, retry } = useHistory(metric, ({ from, to, signal }) =>
    api('GET /metrics/overview', { query: { metric, from, to, points: pointsFor(window.innerWidth) }, signal }),
  );
  const found = answer.value;
  const rows = useMemo(() => (found === null ? [] : rowsOf(found.answer)), [found]);
  const shown = rows.filter((row) => isSearched(row.name));
  const graph = useMemo(() => graphOfRows(metric, shown.slice(0, MOST_LINES)), [metric, shown]);
  const { dimension } = definitionOf(metric);
  return (
    <div class="stack">
      <div class="compare-head">
        <label class="compare-metric">
          <span class="visually-hidden">{words.figure}</span>
          <select value={metric} onChange={(event) => setQuery({ metric: event.currentTarget.value })}>
            {VM_METRICS.map((name) => (
              <option key={name} value={name}>
                {words.names[name] ?? name}
              </option>
            ))}
          </select>
        </label>
        <SearchField label={words.searchVms} />
        <RangeBar />
      </div>
      {problem.value && <ProblemBox problem={problem.value} onRetry={retry} />}
      {!found && !problem.value && <Skeleton lines={8} />}
      {found && rows.length === 0 && (
        <EmptyState icon="metrics" title={words.nothing}>
          {words.nothingNote}
        </EmptyState>
      )}
      {found && rows.length > 0 && (
        <>
          <Card>
            <TimeGraph data={graph} range={found.range} onZoom={zoomTo} onZoomOut={zoomOut} height={260} />
            {shown.length > MOST_LINES && <p class="muted small">{words.onlyMost(MOST_LINES, shown.length)}</p>}
          </Card>
          <Card class="is-flush">
            <div class="table-scroll">
              <table class="table compare-table">
                <thead>
                  <tr>
                    <th scope="col">{text.pages.vm}</th>
                    <th scope="col" class="number">
                      {words.now}
                    </th>
                    <th scope="col" class="number">
                      {words.average}
                    </th>
                    <th scope="col" class="number">
                      {words.most}
                    </th>
                    <th scope="col">{words.course}</th>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((row) => (
                    <tr key={row.key}>
                      <th scope="row">
                        <a href={`/vms/${row.vmId}/graphs`}>{row.name}</a>
                      </th>
                      <td class="number mono">{valueText(row.now, dimension)}</td>
                      <td class="number mono">{valueText(row.average, dimension)}</td>
                      <td class="number mono">{valueText(row.most, dimension)}</td>
                      <td>
                        <Sparkline
                          label={words.courseOf(row.name)}
                          values={row.values}
                          {...(dimension === 'ratio' ? { max: 1 } : {})}
                        />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            {shown.length === 0 && <p class="muted compare-none">{words.noneFits}</p>}
          </Card>
        </>
      )}
    </div>
  );
}

interface Row {
  readonly key: string;
  readonly vmId: string;
  readonly name: string;
  readonly times: readonly number[];
  readonly values: readonly (number | null)[];
  readonly now: number | null;
  readonly average: number | null;
  readonly most: number | null;
}

/** Those with the highest average first. */
function rowsOf(range: MetricRange): Row[] {
  const { times, series } = alignSeries(range);
  return series
    .map((one): Row => {
      const measured = one.avg.filter((value) => value !== null);
      const peaks = one.max.filter((value) => value !== null);
      return {
        key: `${one.id} ${one.sub}`,
        vmId: one.id,
        name: one.sub === '' ? one.name : `${one.name} ${one.sub}`,
        times,
        values: one.avg,
        now: one.avg.at(-1) ?? one.avg.at(-2) ?? null,
        average: measured.length === 0 ? null : measured.reduce((sum, value) => sum + value, 0) / measured.length,
        most: peaks.length === 0 ? null : Math.max(...peaks),
      };
    })
    .sort((a, b) => (b.average ?? -1) - (a.average ?? -1));
}

function graphOfRows(metric: MetricName, rows: readonly Row[]): GraphData {
  const { dimension } = definitionOf(metric);
  return {
    title: words.names[metric] ?? metric,
    dimension,
    times: rows[0]?.times ?? [],
    lines: rows.map((row, index) => ({
      id: row.key,
      label: row.name,
      colour: COLOURS[index % COLOURS.length] ?? 1,
      values: row.values,
    })),
    ...(dimension === 'ratio' ? { scaleMax: 1 } : {}),
  };
}
