/** Columns of an hour as the head holds them. */

import type { Entry } from './book.ts';
import type { Column } from './chunk.ts';
import type { Head } from './head.ts';
import type { Run } from './head-runs.ts';

/** Columns of these series in a stretch of the head; those without samples are left out. */
export function columnsOfRun(head: Head, entries: readonly Entry[], run: Run): Column[] {
  const filled = entries.filter(({ id }) => (head.lastTick(id) ?? Number.NEGATIVE_INFINITY) >= run.first);
  const most = filled.length * (run.last - run.first + 1);
  const room = { offsets: new Int32Array(most), values: new Float64Array(most), used: 0 };
  const columns: Column[] = [];
  for (const { id } of filled) {
    const from = room.used;
    head.copy(id, run.first, run.last, run.offset, room);
    if (room.used === from) continue;
    columns.push({
      series: id,
      offsets: room.offsets.subarray(from, room.used),
      values: room.values.subarray(from, room.used),
    });
  }
  return columns.sort((a, b) => a.series - b.series);
}
