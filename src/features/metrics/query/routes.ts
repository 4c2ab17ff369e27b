/** The routes of the metrics slice. */

import { definitionOf, METRIC_NAMES, type MetricName } from '#contract/metric-catalogue.ts';
import type { MetricRange } from '#contract/metrics.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { ApiRequest, Handlers } from '#platform/feature.ts';
import type { SeriesKey } from '../sample.ts';
import type { OwnerBook } from '../store/book.ts';
import type { History } from '../store/history.ts';
import { checkKind, metricsAsked, spanAsked } from './asked.ts';
import { capacityOf } from './capacity.ts';
import { seriesCsv } from './csv.ts';
import { entityOf, latestOf, metricOf, type OwnerNames, seriesOf } from './figures.ts';
import type { ReadRequest, ReadResult, ReadSeries } from './read.ts';
import { type Asker, createViewer, type Inventory } from './viewer.ts';

/** Points of all lines of an answer together. */
const MAX_ANSWERED_POINTS = 300_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Points of the small line beside each of the top. */
const RECENT_POINTS = 30;

export interface MetricRoutesOptions {
  readonly history: History;
  readonly clock: Clock;
  readonly known: Inventory;
  readonly hostId: string;
  namesOf: OwnerNames;
  read(request: ReadRequest): Promise<ReadResult>;
  latest(seriesId: number): { readonly value: number; readonly atMs: number; readonly ageMs: number } | null;
  window(
    seriesId: number,
    durationMs: number,
  ): { readonly atMs: readonly number[]; readonly values: readonly number[] };
}

export function createMetricRoutes(options: MetricRoutesOptions): Handlers {
  const { history, clock, known, hostId, namesOf, read, latest, window } = options;
  const { book } = history;
  const nowMs = () => clock.now().getTime();
  const viewerFor = (asker: Asker) => createViewer(asker, known, book, hostId);
  const ownersFor = (asker: Asker, entity: string | undefined): readonly OwnerBook[] => {
    const viewer = viewerFor(asker);
    return entity === undefined ? [...book.owners()].filter(({ owner }) => viewer.sees(owner)) : viewer.require(entity);
  };
  const answer = (
    result: Omit<ReadResult, 'series'>,
    series: readonly ReadSeries[],
    span: { fromMs: number; toMs: number },
  ): MetricRange => ({
    from: new Date(span.fromMs).toISOString(),
    to: new Date(span.toMs).toISOString(),
    stepMs: result.stepMs,
    tier: result.tier,
    damagedBlocks: history.damagedBlocks,
    series: series.map((each) => seriesOf(each, namesOf)),
  });

  const range = async ({
    query,
    signal,
    may,
  }: Pick<ApiRequest<'GET /metrics/range'>, 'query' | 'signal' | 'may'>): Promise<MetricRange> => {
    const metrics = metricsAsked(query.metric);
    for (const metric of metrics) checkKind(metric, definitionOf(metric).kinds, query.kind);
    const span = spanAsked(query, nowMs());
    const owners = ownersFor({ may }, query.entity);
    const { kind, sub, points } = query;
    const wanted = owners.flatMap(({ entries }) =>
      entries.filter(
        (entry) =>
          metrics.includes(entry.metric) && (kind ?? entry.kind) === entry.kind && (sub ?? entry.sub) === entry.sub,
      ),
    );
    if (wanted.length * points > MAX_ANSWERED_POINTS)
      throw new AppError('metrics_budget', {
        detail: `${wanted.length} lines of ${points} points are more than ${MAX_ANSWERED_POINTS} points.`,
        hint: 'Name one VM (entity), fewer figures, or fewer points.',
      });
    const results: ReadResult[] = [];
    for (const metric of metrics) results.push(await read({ metric, owners, kind, sub, points, ...span, signal }));
    const first = results[0] ?? { stepMs: 0, tier: 'raw' as const };
    return answer(
      first,
      results.flatMap(({ series }) => series),
      span,
    );
  };

  const ofMetric = (text: string): MetricName => {
    const [metric] = metricsAsked(text);
    if (metric === undefined) throw new AppError('invalid_input');
    return metric;
  };

  return {
    'GET /metrics/catalogue': () => ({ items: METRIC_NAMES.map(metricOf) }),
    'GET /metrics/latest'({ query, may }) {
      const metrics = query.metric === undefined ? null : metricsAsked(query.metric);
      const isWanted = (key: SeriesKey) =>
        (metrics === null || metrics.includes(key.metric)) && (query.kind ?? key.kind) === key.kind;
      const entries = ownersFor({ may }, query.entity).flatMap((owner) => owner.entries.filter(isWanted));
      return {
        items: entries.flatMap((entry) => {
          const found = latest(entry.id);
          return found === null ? [] : [latestOf(entry, found, namesOf)];
        }),
      };
    },
    'GET /metrics/range': range,
    'GET /metrics/range.csv': async (request) => ({
      contentType: 'text/csv; charset=utf-8',
      bytes: seriesCsv((await range(request)).series),
      headers: { 'content-disposition': 'attachment; filename="figures.csv"' },
    }),
    async 'GET /metrics/overview'({ query, may, signal }) {
      const metric = ofMetric(query.metric);
      const span = spanAsked(query, nowMs());
      const owners = ownersFor({ may }, 'vm');
      const lines = owners.flatMap(({ entries }) => entries.filter((entry) => entry.metric === metric)).length;
      if (lines * query.points > MAX_ANSWERED_POINTS)
        throw new AppError('metrics_budget', {
          detail: `${lines} lines of ${query.points} points are more than ${MAX_ANSWERED_POINTS} points.`,
        });
      const result = await read({ metric, owners, points: query.points, ...span, signal });
      return answer(result, result.series, span);
    },
    'GET /metrics/top'({ query, may }) {
      const metric = ofMetric(query.metric);
      const viewer = viewerFor({ may });
      const found = book
        .ofMetric(metric)
        .filter(({ owner }) => viewer.sees(owner))
        .flatMap((entry) => {
          const newest = latest(entry.id);
          return newest === null || newest.ageMs > MINUTE_MS * 5 ? [] : [{ entry, value: newest.value }];
        })
        .sort((a, b) => b.value - a.value)
        .slice(0, query.limit);
      return {
        metric,
        items: found.map(({ entry, value }) => ({
          ...entityOf(entry, namesOf),
          value,
          recent: recentOf(window(entry.id, 10 * MINUTE_MS), history.now.wallMs),
        })),
      };
    },
    async 'GET /metrics/capacity'({ may, signal }) {
      const viewer = viewerFor({ may });
      const owners = [...book.owners()].filter(({ owner }) => owner.type === 'host' && viewer.sees(owner));
      const toMs = nowMs();
      const { series } = await read({
        metric: 'disk_used',
        owners,
        fromMs: toMs - 30 * DAY_MS,
        toMs,
        points: 720,
        signal,
      });
      const figure = (key: SeriesKey, metric: MetricName): number | null => {
        const entry = owners.flatMap(({ entities }) => entities.get(key.kind)?.get(key.sub)?.get(metric) ?? [])[0];
        return entry === undefined ? null : (latest(entry.id)?.value ?? null);
      };
      return {
        items: series.flatMap(({ key, atMs, max }) => {
          const usedBytes = figure(key, 'disk_used');
          if (usedBytes === null) return [];
          return [capacityOf({ key, atMs, max, usedBytes, sizeBytes: figure(key, 'disk_size') }, toMs, namesOf)];
        }),
      };
    },
  };
}

/** Always as many points, the newest last. */
function recentOf(
  { atMs, values }: { readonly atMs: readonly number[]; readonly values: readonly number[] },
  nowMs: number,
): (number | null)[] {
  const points = new Array<number | null>(RECENT_POINTS).fill(null);
  const stepMs = (10 * MINUTE_MS) / RECENT_POINTS;
  for (const [n, at] of atMs.entries()) {
    const slot = RECENT_POINTS - 1 - Math.floor((nowMs - at) / stepMs);
    if (slot >= 0 && slot < RECENT_POINTS) points[slot] = values[n] ?? null;
  }
  return points;
}
