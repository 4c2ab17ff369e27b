/** What a health check is, and how one is run. A check that throws or is late is `unknown`, never `ok`; one that has nothing here to look at
 *  answers null and is not in the list. */

import type { CheckStatus } from '#contract/common.ts';
import type { HealthItem } from '#contract/health.ts';
import { HEALTH_LIMITS, type HealthLimit, type LimitName } from '#contract/health-limits.ts';
import { type Machine, worstStatus } from '#features/health/index.ts';
import { withDeadline } from '#kernel/async.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { HealthFacts } from './facts.ts';
import type { Figures } from './figures.ts';

export interface Finding {
  readonly status: CheckStatus;
  /** What was found, in a sentence or two. */
  readonly evidence: string;
  /** What to do, with the command where there is one; null when nothing needs doing. */
  readonly hint: string | null;
  /** What is not ok, the worst first. */
  readonly items: readonly HealthItem[];
  /** What the check wants to be told at its next run; kept over restarts. */
  readonly memory?: string;
}

export const ok = (evidence: string): Finding => ({ status: 'ok', evidence, hint: null, items: [] });
export const warn = (evidence: string, hint: string): Finding => ({ status: 'warn', evidence, hint, items: [] });
export const fail = (evidence: string, hint: string): Finding => ({ status: 'fail', evidence, hint, items: [] });
export const unknown = (evidence: string, hint: string): Finding => ({ status: 'unknown', evidence, hint, items: [] });

/** What a check may use. */
export interface HealthContext {
  readonly figures: Figures;
  readonly machine: Pick<Machine, 'readText' | 'list' | 'facts' | 'linkTarget' | 'run' | 'kernelRelease'>;
  readonly facts: HealthFacts;
  /** As configured. */
  limit(name: LimitName): HealthLimit;
  /** Wall time in milliseconds. */
  readonly nowMs: number;
  /** What the check itself left at its last run; null = nothing. */
  readonly memory: string | null;
  /** Aborted at the deadline. */
  readonly signal: AbortSignal;
}

export interface HealthCheck {
  /** `group.thing`, stable. */
  readonly id: string;
  /** Place in the list, stable too. */
  readonly number: number;
  readonly title: string;
  /** For the guide: what it looks at. */
  readonly meaning: string;
  /** For the guide: what is a warning and what a failure beside what lies beyond the limits. */
  readonly warnsWhen?: string;
  readonly failsWhen?: string;
  /** Names of the limits that it asks for. */
  readonly limits: readonly LimitName[];
  readonly everyMs: number;
  /** No alert rule can see what it looks at, so the check itself tells people when it stays bad. */
  readonly isAnnounced?: true;
  run(context: HealthContext): Promise<Finding | null> | Finding | null;
}

export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;
export const DAY_MS = 86_400_000;

const DEADLINE_MS = 5_000;

/** Makes one list of several groups, by number.
 *  @throws TypeError for an id or number that two have, or an id that is not `group.thing` */
export function defineHealthChecks(groups: readonly (readonly HealthCheck[])[]): readonly HealthCheck[] {
  const checks = groups.flat().toSorted((a, b) => a.number - b.number);
  const ids = new Set<string>();
  for (const [n, { id, number }] of checks.entries()) {
    if (!/^[a-z0-9-]+\.[a-z0-9-]+$/.test(id)) throw new TypeError(`health check id "${id}" is not group.thing`);
    if (ids.has(id)) throw new TypeError(`health check "${id}" is defined twice`);
    if (checks[n - 1]?.number === number) throw new TypeError(`two health checks have the number ${number}`);
    ids.add(id);
  }
  return checks;
}

export type LimitSettings = Partial<
  Record<LimitName, { readonly warn?: number | null | undefined; readonly fail?: number | null | undefined }>
>;

/** The limit as the configuration has it. */
export function limitOf(name: LimitName, settings: LimitSettings): HealthLimit {
  const base: HealthLimit = HEALTH_LIMITS[name];
  const own = settings[name];
  return {
    ...base,
    warn: own?.warn === undefined ? base.warn : own.warn,
    fail: own?.fail === undefined ? base.fail : own.fail,
  };
}

/** Runs one check. @throws the reason of `outer` when that is aborted, and nothing else */
export async function runCheck(
  check: HealthCheck,
  context: Omit<HealthContext, 'signal'>,
  outer: AbortSignal,
): Promise<Finding | null> {
  try {
    return await withDeadline(
      `the check ${check.id}`,
      DEADLINE_MS,
      async (signal) => check.run({ ...context, signal }),
      outer,
    );
  } catch (error) {
    if (outer.aborted) throw error;
    // Whatever went wrong, what is known is that nothing is known.
    return unknown(
      `This could not be found out: ${messageOf(error)}`,
      error instanceof AppError ? error.hint : 'The log of hyperd has the cause.',
    );
  }
}

const MOST_ITEMS = 20;
const NAMED_IN_EVIDENCE = 3;
const BADNESS = { fail: 0, unknown: 1, warn: 2, ok: 3 } as const satisfies Record<CheckStatus, number>;

/** One finding about many things: as bad as the worst of them. Of nothing at all nothing is known.
 *  @param allWell what is said when all are ok @param hint what to do when one is not */
export function conclude(items: readonly HealthItem[], allWell: string, hint: string): Finding {
  if (items.length === 0) return unknown('There was nothing to look at.', hint);
  const bad = items.filter(({ status }) => status !== 'ok').toSorted((a, b) => BADNESS[a.status] - BADNESS[b.status]);
  if (bad.length === 0) return ok(allWell);
  // Some details are whole sentences.
  const named = bad.slice(0, NAMED_IN_EVIDENCE).map(({ name, detail }) => `${name}: ${detail.replace(/\.$/, '')}`);
  const rest = bad.length - named.length;
  return {
    status: worstStatus(bad),
    evidence: `${named.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}.`,
    hint,
    items: bad.slice(0, MOST_ITEMS),
  };
}

/** How a number stands to a limit. */
export function levelOf(value: number, { warn: warnAt, fail: failAt, side }: HealthLimit): 'ok' | 'warn' | 'fail' {
  const isBeyond = (limit: number | null) => limit !== null && (side === 'above' ? value >= limit : value <= limit);
  if (isBeyond(failAt)) return 'fail';
  return isBeyond(warnAt) ? 'warn' : 'ok';
}
