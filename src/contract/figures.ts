/** Figures of the catalogue as people read them, one way for rules, terminal and dashboard. Free of schemas: the dashboard uses it. */

import { formatBytes, formatDuration } from '#kernel/units.ts';
import type { Dimension } from './metric-catalogue.ts';

/** What somebody wrote, to the last digit: `97.25 %`, `10 GiB`, `5 min`, `running`.
 *  @param value in the unit of the catalogue
 *  @param values names of an enum's numbers */
export function formatFigure(value: number, dimension: Dimension, values: readonly string[] | null = null): string {
  const sign = value < 0 ? '−' : '';
  switch (dimension) {
    case 'ratio':
      return `${exact(value * 100)} %`;
    case 'per_second':
      return `${exact(value)}/s`;
    case 'seconds':
      return Math.abs(value) < 10 && !Number.isInteger(value)
        ? `${exact(value * 1000)} ms`
        : `${sign}${formatDuration(Math.abs(value) * 1000)}`;
    case 'celsius':
      return `${exact(value)} °C`;
    case 'enum':
      return values?.[value] ?? String(value);
    default:
      return commonText(value, dimension) ?? exact(value);
  }
}

const exact = (value: number): string => String(Number(value.toPrecision(4)));

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

/** What was measured, in as many digits as one looks at: `82 %`, `2.3 %`, `1.5 GiB/s`, `0.4 ms`, `shutting down`. */
export function measuredText(value: number, dimension: Dimension, values: readonly string[] | null = null): string {
  switch (dimension) {
    case 'ratio':
      return `${plain.format(Math.abs(value) < 0.1 ? Math.round(value * 1000) / 10 : Math.round(value * 100))} %`;
    case 'per_second':
      return `${plain.format(value)}/s`;
    case 'seconds':
      return secondsText(value);
    case 'celsius':
      return `${plain.format(value)} °C`;
    case 'enum':
      return values?.[Math.round(value)]?.replaceAll('_', ' ') ?? String(value);
    case 'bool':
      return value === 1 ? 'yes' : value === 0 ? 'no' : `${(value * 100).toFixed(0)} % of the time`;
    default:
      return commonText(value, dimension) ?? plain.format(value);
  }
}

function commonText(value: number, dimension: Dimension): string | null {
  switch (dimension) {
    case 'bytes':
      return formatBytes(value);
    case 'bytes_per_second':
      return `${formatBytes(Math.round(value))}/s`;
    case 'timestamp':
      return new Date(value * 1000).toISOString();
    default:
      return null;
  }
}

function secondsText(seconds: number): string {
  if (seconds >= 1) return seconds < 60 ? `${plain.format(seconds)} s` : formatDuration(seconds * 1000);
  if (seconds >= 0.001) return `${plain.format(Math.round(seconds * 100_000) / 100)} ms`;
  return seconds === 0 ? '0 s' : `${plain.format(Math.round(seconds * 1e7) / 10)} µs`;
}
