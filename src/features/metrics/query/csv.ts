/** Figures as a table for spreadsheets (RFC 4180): a line for each point that was measured. */

import type { MetricSeries } from '#contract/metrics.ts';
import { csvCell } from '#kernel/csv.ts';

const COLUMNS = ['time', 'owner', 'name', 'kind', 'sub', 'metric', 'min', 'mean', 'max'];

export function seriesCsv(series: readonly MetricSeries[]): string {
  const lines = [COLUMNS.join(',')];
  for (const { owner, name, kind, sub, metric, atMs, min, avg, max } of series) {
    const whose = [owner, name, kind, sub, metric].map(csvCell).join(',');
    // Numbers are written as they are: a minus in front of one is no formula.
    for (const [n, at] of atMs.entries())
      if (avg[n] != null)
        lines.push(`${new Date(at).toISOString()},${whose},${min[n] ?? ''},${avg[n]},${max[n] ?? ''}`);
  }
  return `${lines.join('\r\n')}\r\n`;
}
