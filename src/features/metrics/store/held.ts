/** Figures that are told when they change and hold until then. They are repeated each minute, so that everybody who reads finds them as
 *  he finds the others; the last of each is in the file, so that a restart does not forget it. */

import type { Owner } from '../sample.ts';
import type { Book, Entry } from './book.ts';
import type { MetricsFile } from './file.ts';

/** Ticks from one repetition to the next. */
const REPEAT_TICKS = 6;

export interface Held {
  /** Remembers those of a tick that hold. */
  note(entries: readonly Entry[], scaled: readonly number[]): void;
  /** What is to be said again at this tick. */
  due(tick: number): readonly { readonly entry: Entry; readonly scaled: number }[];
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
    note(entries, scaled) {
      for (let n = 0; n < entries.length; n += 1) {
        const entry = entries[n];
        if (entry === undefined || !entry.isHeld) continue;
        const value = scaled[n] ?? 0;
        if (values.get(entry) === value) continue;
        values.set(entry, value);
        changed.add(entry);
      }
    },
    due: (tick) => (tick % REPEAT_TICKS === 0 ? [...values].map(([entry, scaled]) => ({ entry, scaled })) : []),
    write() {
      if (changed.size === 0) return;
      const upsert = file.sqlite.prepare(
        'INSERT INTO held(series, scaled) VALUES(?, ?) ON CONFLICT(series) DO UPDATE SET scaled = excluded.scaled',
      );
      for (const entry of changed) upsert.run(entry.id, values.get(entry) ?? 0);
    },
    written: () => changed.clear(),
    load() {
      for (const row of file.sqlite.prepare('SELECT series, scaled FROM held').all()) {
        const entry = book.entry(Number(row['series']));
        if (entry !== null) values.set(entry, Number(row['scaled']));
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
