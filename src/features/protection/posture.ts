/** How well a VM is protected, from dated records alone: what nobody has seen is never counted as good. */

import { POSTURES, type Posture } from '#contract/protection.ts';

export type PostureReason =
  | 'no_schedule'
  | 'no_good_point'
  | 'newest_far_too_old'
  | 'catalogue_not_read'
  | 'date_not_believed'
  | 'evidence_ahead'
  | 'evidence_unreadable'
  | 'newest_too_old'
  | 'last_run_failed'
  | 'never_proven'
  | 'proof_too_old'
  | 'proof_failed'
  | 'proof_inconclusive'
  | 'copy_late'
  | 'disk_left_out'
  | 'not_consistent';

/** Times are milliseconds since the epoch; null = there is no record of it. */
export interface ProtectionFacts {
  readonly nowMs: number;
  /** False after a leap of the date, until it can be believed again. */
  readonly isDateBelieved: boolean;
  /** Time between two runs of the schedule that covers the VM; null = none does. The shortest when several do. */
  readonly intervalMs: number | null;
  /** When the repository was last read through; null = never. */
  readonly catalogueReadMs: number | null;
  /** The moment of the newest complete point without known damage; null = there is none. */
  readonly newestGoodMs: number | null;
  /** How the last run for this VM ended; null = there was none. */
  readonly lastRun: 'succeeded' | 'failed' | null;
  readonly proof: {
    /** The newest proof of any point of the VM; null = never. `unreadable`: there is a record, but its evidence cannot be read. */
    readonly last: 'pass' | 'fail' | 'inconclusive' | 'unreadable' | null;
    readonly lastPassMs: number | null;
    /** How old the newest pass may be. */
    readonly windowMs: number;
  };
  /** Whether a second copy is asked for, and the newest point that has one; null = not asked for. */
  readonly copy: { readonly newestCopiedMs: number | null } | null;
  /** Disks that no point holds, and nobody said that this is right. */
  readonly disksLeftOut: number;
  /** Whether the newest good point is as consistent as is asked for. */
  readonly isConsistentEnough: boolean;
}

export interface PostureResult {
  readonly posture: Posture;
  /** Of this posture, the gravest first; empty when protected. */
  readonly reasons: readonly PostureReason[];
}

const FAR_TOO_OLD_INTERVALS = 7;
const TOO_OLD_INTERVALS = 1.5;
const CATALOGUE_INTERVALS = 2;
/** A clock that is corrected by seconds puts nothing in doubt. */
const AHEAD_MS = 5 * 60_000;

/** The first that matches: unprotected, unknown, attention, protected. */
export function postureOf(facts: ProtectionFacts): PostureResult {
  const { nowMs, intervalMs, newestGoodMs, proof } = facts;
  if (intervalMs === null) return { posture: 'unprotected', reasons: ['no_schedule'] };
  const isCatalogueKnown =
    facts.catalogueReadMs !== null && nowMs - facts.catalogueReadMs <= CATALOGUE_INTERVALS * intervalMs;
  const age = newestGoodMs === null ? null : nowMs - newestGoodMs;

  // "There is none" is only known of a repository that was read, at a date that is right.
  if (isCatalogueKnown && facts.isDateBelieved) {
    if (age === null) return { posture: 'unprotected', reasons: ['no_good_point'] };
    if (age > FAR_TOO_OLD_INTERVALS * intervalMs) return { posture: 'unprotected', reasons: ['newest_far_too_old'] };
  }
  const unknown = those({
    catalogue_not_read: !isCatalogueKnown,
    date_not_believed: !facts.isDateBelieved,
    evidence_ahead: [facts.catalogueReadMs, newestGoodMs, proof.lastPassMs].some(
      (ms) => ms !== null && isAhead(ms, nowMs),
    ),
    evidence_unreadable: proof.last === 'unreadable',
  });
  if (unknown.length > 0) return { posture: 'unknown', reasons: unknown };

  const attention = those({
    last_run_failed: facts.lastRun !== 'succeeded',
    newest_too_old: age === null || age > TOO_OLD_INTERVALS * intervalMs,
    proof_failed: proof.last === 'fail',
    never_proven: proof.lastPassMs === null,
    proof_too_old: proof.lastPassMs !== null && nowMs - proof.lastPassMs > proof.windowMs,
    proof_inconclusive: proof.last === 'inconclusive',
    copy_late:
      facts.copy !== null &&
      (facts.copy.newestCopiedMs === null || nowMs - facts.copy.newestCopiedMs > CATALOGUE_INTERVALS * intervalMs),
    disk_left_out: facts.disksLeftOut > 0,
    not_consistent: !facts.isConsistentEnough,
  });
  return attention.length > 0 ? { posture: 'attention', reasons: attention } : { posture: 'protected', reasons: [] };
}

/** Made while the clock was wrong: how old it is cannot be told, and it would look young until its date comes. */
export const isAhead = (ms: number, nowMs: number): boolean => ms > nowMs + AHEAD_MS;

/** The posture of many is that of the worst; of none it is unknown. */
export function worstPosture(postures: readonly Posture[]): Posture {
  return postures.toSorted((a, b) => POSTURES.indexOf(b) - POSTURES.indexOf(a))[0] ?? 'unknown';
}

function those(conditions: Partial<Record<PostureReason, boolean>>): PostureReason[] {
  return (Object.entries(conditions) as [PostureReason, boolean][]).filter(([, holds]) => holds).map(([name]) => name);
}
