/** How long the space of each pool and file system will last. */

import type { CapacityItem } from '#contract/metrics.ts';
import type { SeriesKey } from '../sample.ts';
import { entityOf, type OwnerNames } from './figures.ts';
import { fillingOf, MOST_DAYS, trendOf } from './forecast.ts';

const DAY_MS = 86_400_000;

export interface SpaceHistory {
  readonly key: SeriesKey;
  /** Hourly maxima of the space in use. */
  readonly atMs: readonly number[];
  readonly max: readonly (number | null)[];
  readonly usedBytes: number;
  /** Null when it is not known. */
  readonly sizeBytes: number | null;
}

/** The highest value of each of the last thirty days, oldest first; days are those of UTC, the present one is the last. */
export function dailyMaxima(
  atMs: readonly number[],
  max: readonly (number | null)[],
  nowMs: number,
): (number | null)[] {
  const days = new Array<number | null>(MOST_DAYS).fill(null);
  const today = Math.floor(nowMs / DAY_MS);
  for (const [n, at] of atMs.entries()) {
    const value = max[n] ?? null;
    const day = Math.floor(at / DAY_MS) - today + MOST_DAYS - 1;
    if (value !== null && day >= 0 && day < MOST_DAYS) days[day] = Math.max(days[day] ?? value, value);
  }
  return days;
}

export function capacityOf(
  { key, atMs, max, usedBytes, sizeBytes }: SpaceHistory,
  nowMs: number,
  namesOf: OwnerNames,
): CapacityItem {
  const maxima = dailyMaxima(atMs, max, nowMs);
  const trend = trendOf(maxima);
  const { outlook, fullInDays } = fillingOf(trend, usedBytes, sizeBytes);
  const later =
    trend === null || sizeBytes === null || sizeBytes === 0 ? null : (usedBytes + 30 * trend.median) / sizeBytes;
  return {
    ...entityOf(key, namesOf),
    sizeBytes,
    usedBytes,
    usedRatio: sizeBytes === null || sizeBytes === 0 ? null : usedBytes / sizeBytes,
    days: maxima.filter((value) => value !== null).length,
    outlook,
    bytesPerDay: trend === null ? null : Math.round(trend.median),
    fullInDays,
    in30DaysRatio: later === null ? null : Math.min(1, Math.max(0, later)),
  };
}
