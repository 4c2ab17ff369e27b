/** Hours of a series that lie on the disk, kept in memory while somebody looks back over them again and again, as rules do at each tick.
 *  Reading one takes about a millisecond and holds the event loop, so only so many are read for one tick; the others follow. */

import { type History, TICK_MS } from './history.ts';

export interface OlderHours {
  /** Samples after `fromMs` up to `toMs`, oldest first, scaled. @returns false when not all of them could be read yet */
  read(seriesId: number, fromMs: number, toMs: number, take: (atMs: number, scaled: number) => void): boolean;
}

interface Hour {
  readonly offsets: Uint16Array;
  readonly scaled: Float64Array;
  /** Tick at which somebody last looked. */
  usedAt: number;
}

const HOUR_MS = 3_600_000;
const MAX_READS_PER_TICK = 300;
/** Nobody looked for an hour: it is given back. */
const KEPT_TICKS = 360;

export function createOlderHours(history: Pick<History, 'book' | 'columns' | 'now' | 'unwrittenHours'>): OlderHours {
  const kept = new Map<number, Map<number, Hour>>();
  let tick = Number.NEGATIVE_INFINITY;
  let prunedAt = Number.NEGATIVE_INFINITY;
  let reads = 0;
  /** Of these memory knows more than the disk: they grow. */
  let growing: ReadonlySet<number> = new Set();

  const prune = () => {
    for (const [id, hours] of kept) {
      for (const [hour, { usedAt }] of hours) if (tick - usedAt > KEPT_TICKS) hours.delete(hour);
      if (hours.size === 0) kept.delete(id);
    }
    prunedAt = tick;
  };
  const begin = () => {
    if (tick === history.now.tick) return;
    tick = history.now.tick;
    reads = 0;
    growing = new Set(history.unwrittenHours());
    if (tick - prunedAt > KEPT_TICKS) prune();
  };
  const load = (seriesId: number, hour: number): Hour | null => {
    const entry = history.book.entry(seriesId);
    if (entry === null || reads >= MAX_READS_PER_TICK) return null;
    reads += 1;
    const columns = history.columns(history.book.owner(entry.owner), hour, new Set([seriesId]));
    const samples = columns.flatMap(({ offsets, values }) =>
      [...offsets].map((offset, n): readonly [number, number] => [offset, values[n] ?? 0]),
    );
    return {
      offsets: Uint16Array.from(samples, ([offset]) => offset),
      scaled: Float64Array.from(samples, ([, value]) => value),
      usedAt: tick,
    };
  };
  const hourOf = (seriesId: number, hour: number): Hour | null => {
    const known = kept.get(seriesId)?.get(hour);
    if (known !== undefined && !growing.has(hour)) {
      known.usedAt = tick;
      return known;
    }
    const loaded = load(seriesId, hour);
    if (loaded !== null && !growing.has(hour)) {
      const own = kept.get(seriesId) ?? new Map<number, Hour>();
      kept.set(seriesId, own.set(hour, loaded));
    }
    return loaded;
  };

  return {
    read(seriesId, fromMs, toMs, take) {
      begin();
      let isWhole = true;
      for (let hour = Math.floor(fromMs / HOUR_MS); hour * HOUR_MS <= toMs; hour += 1) {
        const found = hourOf(seriesId, hour);
        if (found === null) {
          isWhole = false;
          continue;
        }
        for (const [n, offset] of found.offsets.entries()) {
          const atMs = hour * HOUR_MS + offset * TICK_MS;
          if (atMs > fromMs && atMs <= toMs) take(atMs, found.scaled[n] ?? 0);
        }
      }
      return isWhole;
    },
  };
}
