/** Columns of an hour as the head holds them. */

import type { Entry } from './book.ts';
import type { Column } from './chunk.ts';
import type { Head } from './head.ts';
import type { Run } from './head-runs.ts';

/** Columns of these series in a stretch of the head; those without samples are left out. */
export function columnsOfRun(head: Head, entries: readonly Entry[], run: Run): Column[] {
  const columns: Column[] = [];
  for (const { id } of entries) {
    const last = head.lastTick(id);
    if (last === null || last < run.first) continue;
    const { offsets, values } = head.copy(id, run.first, run.last, run.offset);
    if (values.length > 0) columns.push({ series: id, offsets, values });
  }
  return columns.sort((a, b) => a.series - b.series);
}
