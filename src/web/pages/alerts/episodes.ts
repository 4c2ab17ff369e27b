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
