/** OpenTelemetry over HTTP as JSON (opentelemetry.io/docs/specs/otlp, opentelemetry/proto/metrics/v1/metrics.proto): names in lowerCamelCase,
 *  64-bit numbers as text, enums as numbers. Names and labels of figures are those of `/metrics`. */

import { VERSION } from '#platform/version.ts';
import type { PushKind } from './kind.ts';
import type { PushSeries, Snapshot } from './snapshot.ts';

/** AGGREGATION_TEMPORALITY_CUMULATIVE: a counter is told as it stands, not by how much it grew. */
const CUMULATIVE = 2;

/** Units as UCUM writes them. */
const UNITS: Readonly<Record<NonNullable<PushSeries['unit']>, string>> = {
  seconds: 's',
  bytes: 'By',
  celsius: 'Cel',
  ratio: '1',
};

const attribute = (key: string, value: string) => ({ key, value: { stringValue: value } });

export function metricsData({ atMs, series, values }: Snapshot, from: number, to: number) {
  const timeUnixNano = `${atMs}000000`;
  const metrics: { readonly of: PushSeries; readonly dataPoints: unknown[] }[] = [];
  for (let n = from; n < to; n += 1) {
    const one = series[n];
    if (one === undefined) continue;
    const last = metrics.at(-1);
    const metric = last?.of.name === one.name ? last : { of: one, dataPoints: [] };
    if (metric !== last) metrics.push(metric);
    // When a counter began is not known; then the protocol wants the field left out.
    metric.dataPoints.push({
      attributes: one.labels.map(([name, value]) => attribute(name, value)),
      timeUnixNano,
      asDouble: values[n],
    });
  }
  return {
    resourceMetrics: [
      {
        resource: { attributes: [attribute('service.name', 'hyper-nixos'), attribute('service.version', VERSION)] },
        scopeMetrics: [
          {
            scope: { name: 'hyper-nixos', version: VERSION },
            metrics: metrics.map(({ of: { name, help, unit, type }, dataPoints }) => ({
              name,
              description: help,
              unit: unit ? UNITS[unit] : '1',
              ...(type === 'counter'
                ? { sum: { aggregationTemporality: CUMULATIVE, isMonotonic: true, dataPoints } }
                : { gauge: { dataPoints } }),
            })),
          },
        ],
      },
    ],
  };
}

export const otlp: PushKind<'otlp'> = {
  url: ({ url }) => url,
  headers: { 'content-type': 'application/json' },
  authorization: 'bearer',
  body: (snapshot, from, to) => Buffer.from(JSON.stringify(metricsData(snapshot, from, to))),
};
