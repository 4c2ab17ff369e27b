/** How a figure will go on, from its daily maxima: the median of the slopes between all pairs of days (Theil 1950, Sen 1968), which a
 *  few odd days do not move. Anchored at the last value. Not for what grows in steps or faster and faster; the range says how sure it is. */

/** Fewer days say nothing. */
export const LEAST_DAYS = 7;
export const MOST_DAYS = 30;

export interface Trend {
  /** Of the slopes, by day. */
  readonly median: number;
  /** Quartiles of the slopes. */
  readonly low: number;
  readonly high: number;
  /** Days with a value. */
  readonly days: number;
}

/** @param maxima of one day each, oldest first; null = nothing was measured
 *  @returns null with too few days */
export function trendOf(maxima: readonly (number | null)[]): Trend | null {
  const points = maxima
    .slice(-MOST_DAYS)
    .map((value, day) => ({ day, value }))
    .filter((point): point is { day: number; value: number } => point.value !== null);
  if (points.length < LEAST_DAYS) return null;
  const slopes: number[] = [];
  for (const [n, a] of points.entries())
    for (const b of points.slice(n + 1)) slopes.push((b.value - a.value) / (b.day - a.day));
  slopes.sort((a, b) => a - b);
  return {
    median: quantile(slopes, 0.5),
    low: quantile(slopes, 0.25),
    high: quantile(slopes, 0.75),
    days: points.length,
  };
}

/** @param sorted growing, not empty */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const [low, high] = [sorted[Math.floor(at)] ?? 0, sorted[Math.ceil(at)] ?? 0];
  return low + (high - low) * (at - Math.floor(at));
}

export type Outlook = 'too_little_data' | 'no_trend' | 'shrinking' | 'filling';

/** Beyond that nobody plans. */
const FAR_DAYS = 5 * 365;

/** When something of this size is full.
 *  @returns days from now, from the quartiles of the slopes; `latest` null = further than five years */
export function fillingOf(
  trend: Trend | null,
  used: number,
  size: number | null,
): {
  readonly outlook: Outlook;
  readonly fullInDays: { readonly soonest: number; readonly latest: number | null } | null;
} {
  if (trend === null) return { outlook: 'too_little_data', fullInDays: null };
  if (trend.high < 0) return { outlook: 'shrinking', fullInDays: null };
  if (trend.low <= 0) return { outlook: 'no_trend', fullInDays: null };
  if (size === null) return { outlook: 'filling', fullInDays: null };
  const left = Math.max(0, size - used);
  const soonest = left / trend.high;
  const latest = left / trend.low;
  if (soonest > FAR_DAYS) return { outlook: 'filling', fullInDays: null };
  return { outlook: 'filling', fullInDays: { soonest, latest: latest > FAR_DAYS ? null : latest } };
}
