/** What a page shows of time. It stands in the address, so that a link shows the same: `range=24h` follows the clock, `from` and `to` stay. */

import { computed } from '@preact/signals';
import { currentQuery, setQuery } from '../../state/router.ts';
import type { TimeRange } from './graph-data.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const RANGES = [
  { id: '1h', ms: HOUR_MS },
  { id: '6h', ms: 6 * HOUR_MS },
  { id: '24h', ms: DAY_MS },
  { id: '7d', ms: 7 * DAY_MS },
  { id: '30d', ms: 30 * DAY_MS },
  { id: '1y', ms: 365 * DAY_MS },
  { id: '2y', ms: 730 * DAY_MS },
] as const;
export type RangeId = (typeof RANGES)[number]['id'];

const DEFAULT_RANGE = RANGES[0];

/** Fixed times, or a length that ends now. */
export type ChosenRange =
  | { readonly kind: 'fixed'; readonly fromMs: number; readonly toMs: number }
  | { readonly kind: 'live'; readonly id: RangeId; readonly ms: number };

export const chosenRange = computed((): ChosenRange => {
  const query = currentQuery.value;
  const fromMs = Number(query.get('from'));
  const toMs = Number(query.get('to'));
  if (query.has('from') && Number.isSafeInteger(fromMs) && Number.isSafeInteger(toMs) && toMs - fromMs >= 60_000)
    return { kind: 'fixed', fromMs, toMs };
  const { id, ms } = RANGES.find((range) => range.id === query.get('range')) ?? DEFAULT_RANGE;
  return { kind: 'live', id, ms };
});

/** @param nowMs where a live range ends */
export function timesOf(chosen: ChosenRange, nowMs: number): TimeRange {
  return chosen.kind === 'fixed' ? chosen : { fromMs: nowMs - chosen.ms, toMs: nowMs };
}

export function chooseRange(id: RangeId): void {
  setQuery({ range: id === DEFAULT_RANGE.id ? null : id, from: null, to: null });
}

const SHORTEST_MS = 60_000;

/** A zoom narrower than a minute shows a minute. */
export function zoomTo({ fromMs, toMs }: TimeRange): void {
  const missing = Math.max(0, SHORTEST_MS - (toMs - fromMs)) / 2;
  setQuery({ from: String(Math.floor(fromMs - missing)), to: String(Math.ceil(toMs + missing)) });
}

/** Back to the length that follows the clock. */
export function zoomOut(): void {
  setQuery({ from: null, to: null });
}

/** How often a live range is read again: no more often than a pixel moves, nor than there is a new sample. */
export function refreshMs(chosen: ChosenRange): number | null {
  return chosen.kind === 'fixed' ? null : Math.min(300_000, Math.max(10_000, chosen.ms / 720));
}
