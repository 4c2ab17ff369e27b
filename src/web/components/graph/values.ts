/** How numbers of the catalogue are written on axes and in read-outs. */

import type { Dimension } from '#contract/metric-catalogue.ts';
import { formatBytes, formatDuration } from '#kernel/units.ts';
import { text } from '../../text.ts';

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** As `82 %`, `1.5 GiB/s`, `0.4 ms`; unknown is a dash. */
export function valueText(value: number | null | undefined, dimension: Dimension): string {
  if (value === null || value === undefined) return text.unknownValue;
  switch (dimension) {
    case 'ratio':
      return `${plain.format(Math.abs(value) < 0.1 ? Math.round(value * 1000) / 10 : Math.round(value * 100))} %`;
    case 'bytes':
      return formatBytes(value);
    case 'bytes_per_second':
      return `${formatBytes(Math.round(value))}/s`;
    case 'per_second':
      return `${plain.format(value)}/s`;
    case 'seconds':
      return secondsText(value);
    case 'celsius':
      return `${plain.format(value)} °C`;
    case 'bool':
      return value === 0 ? text.graphs.no : text.graphs.yes;
    case 'timestamp':
      return new Date(value * 1000).toLocaleString();
    default:
      return plain.format(value);
  }
}

function secondsText(seconds: number): string {
  if (seconds >= 1) return seconds < 60 ? `${plain.format(seconds)} s` : formatDuration(seconds * 1000);
  if (seconds >= 0.001) return `${plain.format(Math.round(seconds * 100_000) / 100)} ms`;
  return seconds === 0 ? '0 s' : `${plain.format(Math.round(seconds * 1e7) / 10)} µs`;
}

const BINARY_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);
const DECIMAL_STEPS = Array.from({ length: 15 }, (_, power) =>
  [1, 2, 2.5, 5].map((digit) => digit * 10 ** (power - 7)),
).flat();

/** Distances between the lines of an axis that make round numbers: powers of two for bytes. */
export function axisSteps(dimension: Dimension): number[] {
  return dimension === 'bytes' || dimension === 'bytes_per_second' ? BINARY_STEPS : DECIMAL_STEPS;
}
