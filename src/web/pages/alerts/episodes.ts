/** Times while an alert fired, put together from what happened to it. Pure. */

import type { AlertEvent } from '#contract/alerts.ts';
import type { TimeRange } from '../../components/graph/graph-data.ts';

/** @param events in any order
 *  @param nowMs where what still fires ends */
export function firingSpans(
  events: readonly Pick<AlertEvent, 'alertId' | 'kind' | 'at'>[],
  nowMs: number,
): TimeRange[] {
  const spans: TimeRange[] = [];
  const open = new Map<string, number>();
  for (const { alertId, kind, at } of events.toSorted((a, b) => a.at.localeCompare(b.at))) {
    const atMs = Date.parse(at);
    const fromMs = open.get(alertId);
    if (kind === 'firing' && fromMs === undefined) open.set(alertId, atMs);
    if (kind !== 'resolved' || fromMs === undefined) continue;
    spans.push({ fromMs, toMs: atMs });
    open.delete(alertId);
  }
  return [...spans, ...[...open.values()].map((fromMs) => ({ fromMs, toMs: nowMs }))];
}

const LEAST_AROUND_MS = 10 * 60_000;
const MOST_AROUND_MS = 12 * 3_600_000;

/** What to show of time around an episode: twice its length before and after it, where that is neither too little nor too much to see
 *  how it came. @param endMs null = it goes on */
export function rangeAround(beginMs: number, endMs: number | null, nowMs: number): TimeRange {
  const around = Math.min(MOST_AROUND_MS, Math.max(LEAST_AROUND_MS, 2 * ((endMs ?? nowMs) - beginMs)));
  return { fromMs: beginMs - around, toMs: endMs === null ? nowMs : Math.min(nowMs, endMs + around) };
}
