/** Figures that are told when they change and hold until then. They are repeated each minute, so that everybody who reads finds them as
 *  he finds the others; the last of each is in the file, so that a restart does not forget it. */

import type { Owner } from '../sample.ts';
import type { Book, Entry } from './book.ts';
import type { MetricsFile } from './file.ts';
import type { HeldFigure } from './taken.ts';

/** Ticks from one repetition to the next. */
const REPEAT_TICKS = 6;

export interface Held {
  /** Remembers what holds from a tick on. */
  note(figures: readonly HeldFigure[]): void;
  /** What is to be said again at this tick. */
  due(tick: number): readonly HeldFigure[];
  /** Whether something is not written yet. */
  readonly hasNews: boolean;
  /** Writes what changed; inside a transaction of the caller, who says afterwards that it is on disk. */
  write(): void;
  written(): void;
  load(): void;
  forget(isGone: (owner: Owner) => boolean): void;
  moveTo(file: MetricsFile): void;
}

export function createHeld(first: MetricsFile, book: Book): Held {
  let file = first;
  const values = new Map<Entry, number>();
  const changed = new Set<Entry>();
  return {
    note(figures) {
      for (const { entry, scaled } of figures) {
        if (values.get(entry) === scaled) continue;
        values.set(entry, scaled);
        changed.add(entry);
      }
    },
    due: (tick) => (tick % REPEAT_TICKS === 0 ? [...values].map(([entry, scaled]) => ({ entry, scaled })) : []),
    get hasNews() {
      return changed.size > 0;
    },
    write() {
      const upsert = file.sqlite.prepare(
        'INSERT INTO held(series, scaled) VALUES(?, ?) ON CONFLICT(series) DO UPDATE SET scaled = excluded.scaled',
      );
      for (const entry of changed) upsert.run(entry.id, values.get(entry) ?? 0);
    },
    written: () => changed.clear(),
    load() {
      for (const row of file.sqlite.prepare('SELECT series, scaled FROM held').all()) {
        const entry = book.entry(Number(row['series']));
        // What was told since then is newer.
        if (entry !== null && !values.has(entry)) values.set(entry, Number(row['scaled']));
      }
    },
    forget(isGone) {
      for (const entry of values.keys()) if (isGone(entry.owner)) values.delete(entry);
    },
    moveTo(other) {
      file = other;
      for (const entry of values.keys()) changed.add(entry);
    },
  };
}
