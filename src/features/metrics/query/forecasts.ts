/** What figures will be, for rules that ask at every tick: the trend of a series is read in the background when somebody first asks for it
 *  and anew each hour; until then, and with too few days, nobody can say. */

import type { Clock } from '#kernel/clock.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Series, SeriesKey } from '../sample.ts';
import { dailyMaxima } from './capacity.ts';
import { MOST_DAYS, type Trend, trendOf } from './forecast.ts';
import type { ReadResult } from './read.ts';

export interface Forecasts {
  /** The value in `horizonMs`, or null. Never waits. */
  forecast(seriesId: number, horizonMs: number): number | null;
  /** Waits for what is being read. */
  settled(): Promise<void>;
}

interface Dependencies {
  readonly series: (id: number) => Series | null;
  readonly latest: (id: number) => { readonly value: number } | null;
  readonly read: (
    key: SeriesKey,
    span: { readonly fromMs: number; readonly toMs: number; readonly points: number },
  ) => Promise<ReadResult>;
  readonly clock: Clock;
  readonly log: Logger;
}

const DAY_MS = 86_400_000;
const EVERY_MS = 3_600_000;

interface Entry {
  trend: Trend | null;
  readAtMs: number;
}

export function createForecasts({ series, latest, read, clock, log }: Dependencies): Forecasts {
  const known = new Map<number, Entry>();
  const wanted = new Set<number>();
  let reading: Promise<void> | null = null;

  const readTrend = async (id: number): Promise<Trend | null> => {
    const key = series(id);
    if (key === null) return null;
    const nowMs = clock.now().getTime();
    const found = await read(key, { fromMs: nowMs - MOST_DAYS * DAY_MS, toMs: nowMs, points: MOST_DAYS * 24 });
    const [own] = found.series;
    return own === undefined ? null : trendOf(dailyMaxima(own.atMs, own.max, nowMs));
  };
  /** One after the other: each reads a month. */
  const readAll = async () => {
    for (const id of wanted) {
      wanted.delete(id);
      let trend: Trend | null = null;
      try {
        trend = await readTrend(id);
      } catch (error) {
        // It is tried again in an hour; until then nobody can say.
        log.warn({ err: error }, 'the trend of a figure could not be read');
      }
      known.set(id, { trend, readAtMs: clock.monotonicMs() });
    }
    reading = null;
  };

  return {
    forecast(id, horizonMs) {
      const entry = known.get(id);
      if (entry === undefined || clock.monotonicMs() - entry.readAtMs > EVERY_MS) {
        wanted.add(id);
        reading ??= readAll();
      }
      const value = latest(id)?.value;
      const trend = entry?.trend ?? null;
      return trend === null || value === undefined ? null : value + (trend.median * horizonMs) / DAY_MS;
    },
    settled: async () => {
      await reading;
    },
  };
}
