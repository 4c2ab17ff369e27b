/** An alert as its row keeps it, and back. Timers go on after a restart where the host still runs and only little was missed; where that
 *  cannot be known, waiting begins anew. */

import { z } from 'zod';
import type { Track } from '../evaluation.ts';
import type { Machine } from '../machine/machine.ts';
import type { AlertRow, Mark } from '../store.ts';

const timersSchema = z.object({
  heldMs: z.number(),
  agreed: z.number(),
  /** The last evaluation was not unknown, so time goes on to count. */
  isRunning: z.boolean(),
  /** By the clock that counts since the host booted. */
  savedBootMs: z.number().nullable(),
  quietUntilBootMs: z.number().nullable(),
});
const maskSchema = z.object({ operationId: z.string(), title: z.string(), fromAtMs: z.number() });
const labelsSchema = z.record(z.string(), z.string());

/** The same moment on three clocks. */
export interface Clocks {
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly boot: { readonly id: string; readonly ms: number } | null;
}

export function rowOf(track: Track, ruleName: string, now: Clocks): AlertRow {
  const { machine, entity, labels, project } = track;
  const bootAt = (monotonicMs: number) => (now.boot === null ? null : now.boot.ms + (monotonicMs - now.monotonicMs));
  const timers: z.infer<typeof timersSchema> = {
    heldMs: machine.heldMs,
    agreed: machine.agreed,
    isRunning: machine.evaluatedMs === machine.knownMs,
    savedBootMs: bootAt(machine.evaluatedMs),
    quietUntilBootMs: machine.quietUntilMs === null ? null : bootAt(machine.quietUntilMs),
  };
  return {
    id: track.id,
    rule_id: track.ruleId,
    rule_name: ruleName,
    owner_type: entity.owner.type,
    owner_id: entity.owner.id,
    kind: entity.kind,
    sub: entity.sub,
    labels: JSON.stringify(labels),
    project,
    phase: machine.phase,
    episode: machine.episode,
    since_ms: machine.sinceAtMs,
    started_ms: machine.startedAtMs,
    ended_ms: machine.endedAtMs,
    severity: machine.severity,
    value: machine.value,
    is_no_data: Number(machine.isNoData),
    acked_by: machine.acknowledged?.by ?? null,
    acked_ms: machine.acknowledged?.atMs ?? null,
    acked_note: machine.acknowledged?.note ?? null,
    told_episode: machine.toldEpisode,
    mask: machine.mask === null ? null : JSON.stringify(machine.mask),
    timers: JSON.stringify(timers),
  };
}

/** @param mark when the last evaluation was; null = never */
export function trackOf(row: AlertRow, mark: Mark | null, now: Clocks): Track {
  const timers = timersSchema.parse(JSON.parse(row.timers));
  const isSameBoot = now.boot !== null && mark?.boot?.id === now.boot.id;
  const markBootMs = isSameBoot ? (mark?.boot?.ms ?? null) : null;
  const onMonotonic = (bootMs: number | null) =>
    bootMs === null || now.boot === null || !isSameBoot ? null : now.monotonicMs - (now.boot.ms - bootMs);
  const evaluatedMs = onMonotonic(markBootMs);
  const sinceSavedMs =
    timers.isRunning && markBootMs !== null && timers.savedBootMs !== null
      ? Math.max(0, markBootMs - timers.savedBootMs)
      : 0;
  const machine: Machine = {
    phase: row.phase,
    episode: row.episode,
    sinceAtMs: row.since_ms,
    startedAtMs: row.started_ms,
    endedAtMs: row.ended_ms,
    heldMs: timers.heldMs + sinceSavedMs,
    agreed: timers.agreed,
    evaluatedMs: evaluatedMs ?? now.monotonicMs,
    // What nobody can say anything of is a hole.
    knownMs: (timers.isRunning ? evaluatedMs : null) ?? Number.NEGATIVE_INFINITY,
    unknownSinceMs: null,
    isNoData: row.is_no_data === 1,
    value: row.value,
    severity: row.severity,
    acknowledged:
      row.acked_by === null ? null : { by: row.acked_by, atMs: row.acked_ms ?? row.since_ms, note: row.acked_note },
    toldEpisode: row.told_episode,
    changesMs: [],
    quietUntilMs: onMonotonic(timers.quietUntilBootMs),
    mask: row.mask === null ? null : maskSchema.parse(JSON.parse(row.mask)),
  };
  const owner =
    row.owner_type === 'vm' ? { type: 'vm' as const, id: row.owner_id } : { type: 'host' as const, id: row.owner_id };
  return {
    id: row.id,
    ruleId: row.rule_id,
    entity: { owner, kind: row.kind, sub: row.sub },
    labels: labelsSchema.parse(JSON.parse(row.labels)),
    project: row.project,
    machine,
  };
}

/** Whether there is more to remember than that all is well. */
export const isWorthKeeping = ({ phase, episode, unknownSinceMs, toldEpisode }: Machine): boolean =>
  phase !== 'ok' || episode > 0 || unknownSinceMs !== null || toldEpisode !== null;

/** Whether the row would say something else than before, or its timers would go wrong from it. */
export function isNewsForRow(before: Machine | null, after: Machine): boolean {
  if (before === null) return true;
  return (
    before.phase !== after.phase ||
    before.episode !== after.episode ||
    before.startedAtMs !== after.startedAtMs ||
    before.heldMs > after.heldMs ||
    before.isNoData !== after.isNoData ||
    (before.evaluatedMs === before.knownMs) !== (after.evaluatedMs === after.knownMs) ||
    before.severity !== after.severity ||
    before.acknowledged !== after.acknowledged ||
    before.toldEpisode !== after.toldEpisode ||
    before.quietUntilMs !== after.quietUntilMs ||
    before.mask !== after.mask
  );
}

/** Whether people see a difference. */
export function isNewsForPeople(before: Machine | null, after: Machine): boolean {
  if (before === null) return after.phase !== 'ok';
  return (
    before.phase !== after.phase ||
    before.episode !== after.episode ||
    before.isNoData !== after.isNoData ||
    before.severity !== after.severity ||
    before.acknowledged !== after.acknowledged ||
    before.quietUntilMs !== after.quietUntilMs
  );
}
