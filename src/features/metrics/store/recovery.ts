/** What an earlier life of the daemon left in the log of ticks: whole hours go into chunks, the present hour goes back into memory, and
 *  the hour before is read from its chunks, so that windows of an hour are whole again. */

import type { Book, Entry } from './book.ts';
import type { Chunks } from './chunks.ts';
import { type FlushedOwner, type FlushParts, flushHour } from './flush.ts';
import { HEAD_TICKS, type Head } from './head.ts';
import { type HeadRuns, TICKS_PER_HOUR } from './head-runs.ts';
import type { TickLog } from './tick-log.ts';

interface LoggedColumn {
  readonly offsets: number[];
  readonly values: number[];
}

/** Writes an hour of the log into chunks. */
export async function flushFromLog(
  parts: FlushParts & { readonly book: Book; readonly ticks: TickLog },
  hour: number,
  pause: () => Promise<void>,
): Promise<void> {
  const columns = new Map<Entry, LoggedColumn>();
  for (const { wallTick, values } of parts.ticks.read(hour)) {
    for (const [n, id] of values.ids.entries()) {
      const entry = parts.book.entry(id);
      if (entry === null) continue;
      const column = columns.get(entry) ?? { offsets: [], values: [] };
      columns.set(entry, column);
      column.offsets.push(wallTick - hour * TICKS_PER_HOUR);
      column.values.push(values.scaled[n] ?? 0);
    }
  }
  await flushHour(parts, { hour, owners: ownersOf(columns) }, pause);
}

function ownersOf(columns: ReadonlyMap<Entry, LoggedColumn>): FlushedOwner[] {
  const owners = new Map<number, Entry[]>();
  for (const entry of columns.keys()) {
    const entries = owners.get(entry.ownerNumber);
    if (entries === undefined) owners.set(entry.ownerNumber, [entry]);
    else entries.push(entry);
  }
  return [...owners].map(([number, entries]) => ({
    number,
    entries,
    columns: () =>
      entries
        .map((entry) => {
          const { offsets, values } = columns.get(entry) ?? { offsets: [], values: [] };
          return { series: entry.id, offsets: Int32Array.from(offsets), values: Float64Array.from(values) };
        })
        .sort((a, b) => a.series - b.series),
  }));
}

export interface RefillParts {
  readonly book: Book;
  readonly chunks: Chunks;
  readonly ticks: TickLog;
  readonly head: Head;
  readonly runs: HeadRuns;
}

/** Fills the head up to this tick; for a head whose ticks are still those of the wall. */
export async function refill(parts: RefillParts, nowTick: number, pause: () => Promise<void>): Promise<void> {
  const { book, chunks, ticks, head, runs } = parts;
  const oldest = nowTick - HEAD_TICKS + 1;
  for (let hour = Math.floor(oldest / TICKS_PER_HOUR); hour * TICKS_PER_HOUR <= nowTick; hour += 1) {
    for (const owner of [...book.owners()]) {
      for (const { series, offsets, values } of chunks.read(owner.number, hour, null)) {
        for (const [n, offset] of offsets.entries()) {
          const tick = hour * TICKS_PER_HOUR + offset;
          if (tick >= oldest && tick <= nowTick) head.put(series, tick, values[n] ?? 0);
        }
      }
      await pause();
    }
  }
  for (const { wallTick, values } of ticks.read(Math.floor(nowTick / TICKS_PER_HOUR))) {
    if (wallTick > nowTick) continue;
    runs.add(wallTick, wallTick);
    for (const [n, id] of values.ids.entries())
      if (book.entry(id) !== null && wallTick > (head.lastTick(id) ?? -1))
        head.put(id, wallTick, values.scaled[n] ?? 0);
  }
}
