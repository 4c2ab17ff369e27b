/** Samples on their way from collectors into the history: rounded as the catalogue says, and never more of a VM than it may have. */

import { definitionOf, METRICS, type MetricName } from '#contract/metric-catalogue.ts';
import type { SampleSink } from '../sample.ts';

/** Guests choose how many file systems and network cards they have. */
const MAX_SERIES_PER_VM = 200;

/** Gives what is put the period of its collector, unless it has one of its own. */
export function withPeriod(sink: SampleSink, periodMs: number): SampleSink {
  return {
    put: (owner, kind, sub, metric, value, ownMs) => sink.put(owner, kind, sub, metric, value, ownMs ?? periodMs),
  };
}

/** A sink for one tick. @param onRejected a sample that was left out: not exact, of a name that is there already, or one too many of its VM */
export function createTickSink(sink: SampleSink, onRejected: () => void): SampleSink {
  const seriesOfVm = new Map<string, number>();
  const named = new Set<string>();
  return {
    put(owner, kind, sub, metric, value, periodMs) {
      if (value === null || !Number.isFinite(value)) return;
      const rounded = round(value, definitionOf(metric).decimals);
      if (Math.abs(rounded) > Number.MAX_SAFE_INTEGER) {
        onRejected();
        return;
      }
      if (sub !== '') {
        // Names that were cut may have become the same.
        const key = `${owner.id} ${kind} ${metric} ${sub}`;
        if (named.has(key)) {
          onRejected();
          return;
        }
        named.add(key);
      }
      if (owner.type === 'vm') {
        const count = (seriesOfVm.get(owner.id) ?? 0) + 1;
        if (count > MAX_SERIES_PER_VM) {
          onRejected();
          return;
        }
        seriesOfVm.set(owner.id, count);
      }
      sink.put(owner, kind, sub, metric, rounded, periodMs);
    },
  };
}

function round(value: number, decimals: number): number {
  const scale = 10 ** decimals;
  return Math.abs(value) * scale > Number.MAX_SAFE_INTEGER ? value : Math.round(value * scale) / scale;
}

type EnumMetric = {
  [Name in MetricName]: (typeof METRICS)[Name] extends { readonly values: readonly string[] } ? Name : never;
}[MetricName];

/** The number by which samples hold a value. */
export function enumNumber<Name extends EnumMetric>(
  metric: Name,
  value: (typeof METRICS)[Name]['values'][number],
): number {
  const values: readonly string[] = METRICS[metric].values;
  return values.indexOf(value);
}
