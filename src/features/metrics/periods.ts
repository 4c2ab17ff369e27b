/** How often each series is measured at present, where that is less often than the catalogue says: collectors tell it with what they
 *  measured, as a host with many VMs is asked less often, and SMART less often than a sensor. */

import { definitionOf } from '#contract/metric-catalogue.ts';
import type { Series } from './sample.ts';

export interface Periods {
  /** Takes what a collector said beside a sample. @param atMs monotonic */
  note(series: Pick<Series, 'id' | 'metric'>, periodMs: number, atMs: number): void;
  /** The longest that was told within the last hour or, if that is longer, within three of it: windows that look back still hold samples
   *  of then. Milliseconds; 0 = written when it changes. @param atMs monotonic */
  of(series: Pick<Series, 'id' | 'metric'>, atMs: number): number;
}

const HOUR_MS = 3_600_000;
const KEPT_PERIODS = 3;

export function createPeriods(): Periods {
  const told = new Map<number, { readonly periodMs: number; readonly atMs: number }>();
  let prunedMs = Number.NEGATIVE_INFINITY;

  const holds = ({ periodMs, atMs }: { readonly periodMs: number; readonly atMs: number }, nowMs: number): boolean =>
    nowMs - atMs <= Math.max(HOUR_MS, KEPT_PERIODS * periodMs);
  const usualMs = ({ metric }: Pick<Series, 'metric'>): number => definitionOf(metric).periodSeconds * 1000;
  const prune = (nowMs: number) => {
    if (nowMs - prunedMs < HOUR_MS) return;
    prunedMs = nowMs;
    for (const [id, one] of told) if (!holds(one, nowMs)) told.delete(id);
  };

  return {
    note(series, periodMs, atMs) {
      prune(atMs);
      if (periodMs <= usualMs(series)) return;
      const known = told.get(series.id);
      if (known === undefined || periodMs >= known.periodMs || !holds(known, atMs))
        told.set(series.id, { periodMs, atMs });
    },
    of(series, atMs) {
      const known = told.get(series.id);
      return known !== undefined && holds(known, atMs) ? known.periodMs : usualMs(series);
    },
  };
}
