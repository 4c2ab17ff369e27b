/** What a preflight check is, and how a list of them is run. A check that throws or is late is `unknown`, never `ok`. */

import type { CheckStatus } from '#contract/common.ts';
import type { metricsDoor } from '#contract/config.ts';
import { PREFLIGHT_WAITS_FOR_LIBVIRT } from '#contract/libvirt-away.ts';
import type { Check } from '#contract/system.ts';
import { mapLimit, withDeadline } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { AccelProof } from './accel.ts';
import type { LibvirtFacts } from './libvirt-facts.ts';
import type { Machine } from './machine.ts';

/** What a check found. `hint` is what to do, with the exact command where there is one; null when nothing needs doing. */
export interface Finding {
  readonly status: CheckStatus;
  readonly detail: string;
  readonly hint: string | null;
}

export const ok = (detail: string): Finding => ({ status: 'ok', detail, hint: null });
export const warn = (detail: string, hint: string): Finding => ({ status: 'warn', detail, hint });
export const fail = (detail: string, hint: string): Finding => ({ status: 'fail', detail, hint });
export const unknown = (detail: string, hint: string): Finding => ({ status: 'unknown', detail, hint });

/** What a check may use. */
export interface CheckContext {
  readonly machine: Machine;
  readonly libvirt: LibvirtFacts;
  /** Folders and TCP port that the daemon uses, and where `/metrics` answers. */
  readonly settings: {
    readonly stateRoot: string;
    readonly disks: string;
    readonly metricsDoor: ReturnType<typeof metricsDoor>;
    port(): number;
  };
  /** Runs the micro-guests, or takes the cached proof. */
  proof(): Promise<AccelProof>;
  /** Writes a row durably and reads it back; answers how long that took. */
  probeDatabase(): Promise<{ readonly durationMs: number }>;
  /** Aborted at the check's deadline. */
  readonly signal: AbortSignal;
}

export interface CheckDefinition {
  /** `group.thing`, stable. */
  readonly id: string;
  readonly title: string;
  /** For the guide: what the line means and what depends on it. */
  readonly meaning: string;
  /** Default 15_000. */
  readonly deadlineMs?: number;
  run(context: CheckContext): Promise<Finding>;
}

const DEFAULT_DEADLINE_MS = 15_000;

/** At once; more would make the checks disturb each other on a small machine. */
const PARALLEL = 4;

/** Makes one list of several groups. @throws TypeError for a second check with the same id, or one that is not `group.thing` */
export function defineChecks(groups: readonly (readonly CheckDefinition[])[]): readonly CheckDefinition[] {
  const known = new Set<string>();
  const checks = groups.flat();
  for (const { id } of checks) {
    if (!/^[a-z0-9-]+\.[a-z0-9-]+$/.test(id)) throw new TypeError(`check id "${id}" is not group.thing`);
    if (known.has(id)) throw new TypeError(`check "${id}" is defined twice`);
    known.add(id);
  }
  return checks;
}

export interface RunChecksOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told after each check. */
  onDone?(done: number, total: number, check: Check): void;
}

/** Runs the checks, a few at a time, and answers in the order of the list. */
export async function runChecks(
  list: readonly CheckDefinition[],
  context: Omit<CheckContext, 'signal'>,
  options: RunChecksOptions,
): Promise<Check[]> {
  let done = 0;
  return mapLimit(list, PARALLEL, async (definition) => {
    const startedMs = options.clock.monotonicMs();
    const finding = await findingOf(definition, context, options.signal);
    const check: Check = {
      id: definition.id,
      title: definition.title,
      ...finding,
      durationMs: Math.round(options.clock.monotonicMs() - startedMs),
    };
    done += 1;
    options.onDone?.(done, list.length, check);
    return check;
  });
}

async function findingOf(
  definition: CheckDefinition,
  context: Omit<CheckContext, 'signal'>,
  outer: AbortSignal,
): Promise<Finding> {
  const deadlineMs = definition.deadlineMs ?? DEFAULT_DEADLINE_MS;
  try {
    return await withDeadline(
      `the check ${definition.id}`,
      deadlineMs,
      (signal) => definition.run({ ...context, signal }),
      outer,
    );
  } catch (error) {
    if (outer.aborted) throw error;
    // Whatever went wrong, what we know is that we do not know.
    const hint =
      error instanceof AppError
        ? error.code === 'libvirt_unavailable'
          ? PREFLIGHT_WAITS_FOR_LIBVIRT
          : error.hint
        : 'Run `hv preflight` again; if it stays so, the log of hyperd has the cause.';
    return unknown(`This could not be found out: ${messageOf(error)}`, hint);
  }
}

const BADNESS = { ok: 0, warn: 1, unknown: 2, fail: 3 } as const satisfies Record<CheckStatus, number>;

/** The worst status; `unknown` when nothing was checked. */
export function worstStatus(checks: readonly { readonly status: CheckStatus }[]): CheckStatus {
  if (checks.length === 0) return 'unknown';
  return checks.reduce<CheckStatus>((worst, { status }) => (BADNESS[status] > BADNESS[worst] ? status : worst), 'ok');
}
