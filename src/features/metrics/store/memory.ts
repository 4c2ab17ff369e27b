/** What can be answered at once: the newest figure of a series and its last hour. */

import type { Clock } from '#kernel/clock.ts';
import { TICKS_PER_HOUR } from './head-runs.ts';
import { type History, TICK_MS } from './history.ts';
import { createOlderHours } from './older-hours.ts';

export interface Memory {
  /** Whether the series has had a sample in the last hour. */
  isActive(seriesId: number): boolean;
  latest(seriesId: number): { readonly value: number; readonly atMs: number; readonly ageMs: number } | null;
  window(
    seriesId: number,
    durationMs: number,
  ): { readonly atMs: readonly number[]; readonly values: readonly number[] };
}

export function createMemory(history: History, clock: Clock): Memory {
  const { book, head } = history;
  const older = createOlderHours(history);
  /** Times are told as the wall clock would have told them had it never been set: what was measured ten seconds apart is ten seconds apart. */
  const wallMsOf = (tick: number) => history.now.wallMs - (history.now.tick - tick) * TICK_MS;

  return {
    isActive: (seriesId) => history.now.tick - (head.lastTick(seriesId) ?? Number.NEGATIVE_INFINITY) <= TICKS_PER_HOUR,
    latest(seriesId) {
      const entry = book.entry(seriesId);
      const newest = head.latest(seriesId);
      if (entry === null || newest === null) return null;
      return {
        value: newest.scaled / entry.factor,
        atMs: wallMsOf(newest.tick),
        ageMs: Math.max(0, clock.monotonicMs() - history.monotonicMsOf(newest.tick)),
      };
    },
    window(seriesId, durationMs) {
      const atMs: number[] = [];
      const values: number[] = [];
      const entry = book.entry(seriesId);
      if (entry === null) return { atMs, values };
      const { tick: last, wallMs } = history.now;
      const baseMs = wallMs - last * TICK_MS;
      const ageMs = Math.max(0, clock.monotonicMs() - history.monotonicMsOf(last));
      const ticks = Math.floor(Math.max(0, durationMs - ageMs) / TICK_MS);
      const inHead = Math.min(ticks, TICKS_PER_HOUR);
      if (ticks > inHead) {
        const isWhole = older.read(seriesId, wallMs - ticks * TICK_MS, wallMs - inHead * TICK_MS, (at, scaled) => {
          atMs.push(at);
          values.push(scaled / entry.factor);
        });
        // Half a window would look like a figure that hardly moved.
        if (!isWhole) return { atMs: [], values: [] };
      }
      head.read(seriesId, last - inHead + 1, last, (tick, scaled) => {
        atMs.push(baseMs + tick * TICK_MS);
        values.push(scaled / entry.factor);
      });
      return { atMs, values };
    },
  };
}
