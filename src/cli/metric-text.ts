/** Figures as people read them in a terminal: numbers with their unit, and small graphs of block characters. */

import { measuredText } from '#contract/figures.ts';
import type { Metric } from '#contract/metrics.ts';

/** `–` for null. */
export const figureText = ({ dimension, values }: Metric, value: number | null): string =>
  value === null ? '–' : measuredText(value, dimension, values);

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
