/** Figures as people read them in a terminal: numbers with their unit, and small graphs of block characters. */

import type { Metric } from '#contract/metrics.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';

/** `42.1 %`, `1.5 GiB/s`, `running`; `–` for null. */
export function figureText({ dimension, values, decimals }: Metric, value: number | null): string {
  if (value === null) return '–';
  switch (dimension) {
    case 'ratio':
      return `${(value * 100).toFixed(1)} %`;
    case 'bytes':
      return formatBytes(value);
    case 'bytes_per_second':
      return `${formatBytes(value)}/s`;
    case 'per_second':
      return `${value.toFixed(value < 10 ? 1 : 0)}/s`;
    case 'seconds':
      return value < 1 ? `${(value * 1000).toFixed(1)} ms` : formatDuration(value * 1000);
    case 'enum':
      return values?.[Math.round(value)]?.replaceAll('_', ' ') ?? String(value);
    case 'bool':
      return value === 1 ? 'yes' : value === 0 ? 'no' : `${(value * 100).toFixed(0)} % of the time`;
    case 'timestamp':
      return new Date(value * 1000).toISOString();
    case 'celsius':
      return `${value.toFixed(1)} °C`;
    default:
      return value.toFixed(Number.isInteger(value) ? 0 : Math.max(1, decimals));
  }
}

const BARS = '▁▂▃▄▅▆▇█';

/** A graph one line high, from `low` to `high`; gaps are spaces. */
export function sparkline(values: readonly (number | null)[], low: number, high: number): string {
  return values
    .map((value) => {
      if (value === null) return ' ';
      const share = high > low ? (value - low) / (high - low) : 0;
      return BARS[Math.min(BARS.length - 1, Math.max(0, Math.floor(share * BARS.length)))];
    })
    .join('');
}

/** The range of a graph: ratios and counts begin at zero, others at their lowest value. */
export function rangeOf(
  { dimension }: Metric,
  values: readonly (number | null)[],
): readonly [low: number, high: number] {
  const known = values.filter((value) => value !== null);
  const high = Math.max(...known, 0);
  const low = Math.min(...known);
  if (dimension === 'celsius' || dimension === 'timestamp') return [Number.isFinite(low) ? low : 0, high];
  return [Math.min(0, Number.isFinite(low) ? low : 0), dimension === 'ratio' ? Math.max(high, 0.01) : high];
}
