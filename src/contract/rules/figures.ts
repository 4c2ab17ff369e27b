/** Figures as people read them, in the units in which rules are written. */

import { formatBytes, formatDuration } from '#kernel/units.ts';
import type { Dimension } from '../metric-catalogue.ts';

/** `85 %`, `10 GiB`, `5 min`, `running`.
 *  @param value in the unit of the catalogue
 *  @param values names of an enum's numbers */
export function formatFigure(value: number, dimension: Dimension, values: readonly string[] | null = null): string {
  const sign = value < 0 ? '−' : '';
  switch (dimension) {
    case 'ratio':
      return `${rounded(value * 100)} %`;
    case 'bytes':
      return formatBytes(value);
    case 'bytes_per_second':
      return `${formatBytes(value)}/s`;
    case 'per_second':
      return `${rounded(value)}/s`;
    case 'seconds':
      return Math.abs(value) < 10 && !Number.isInteger(value)
        ? `${rounded(value * 1000)} ms`
        : `${sign}${formatDuration(Math.abs(value) * 1000)}`;
    case 'celsius':
      return `${rounded(value)} °C`;
    case 'timestamp':
      return new Date(value * 1000).toISOString();
    case 'enum':
      return values?.[value] ?? String(value);
    default:
      return rounded(value);
  }
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(4)));
}
