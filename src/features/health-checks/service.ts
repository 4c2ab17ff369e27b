/** Runs each check in its own period and keeps what it found: the newest in memory, each change of a status on disk. */

import type { CheckStatus } from '#contract/common.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Health, HealthDetail, HealthResult } from '#contract/health.ts';
import type { LimitName } from '#contract/health-limits.ts';
import { worstStatus } from '#features/health/index.ts';
import type { AnnouncedEvent } from '#features/notifications/index.ts';
import { mapLimit } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { tellingOf } from './announcing.ts';
import {
  DAY_MS,
  type Finding,
  type HealthCheck,
  type HealthContext,
  type LimitSettings,
  limitOf,
  runCheck,
} from './check.ts';
import type { HealthResultStore, KeptResult } from './store.ts';

export interface HealthChecksApi {
  /** Of the checks that concern this machine, by number. Never waits. */
  results(): Health;
  /** Hears of each change of a status. Returns what ends it. */
  onChange(listener: (change: ApiEvents['health.changed']) => void): () => void;
}

export interface HealthCheckService {
  results(): Health;
  /** @throws not_found for a check that does not exist; wrong_state for one without a result, as it was not run or does not concern this machine */
  detail(id: string): Promise<HealthDetail>;
  /** Runs all checks now. */
  runAll(signal: AbortSignal, onDone?: (done: number, total: number, title: string) => void): Promise<void>;
  load(): Promise<void>;
  /** Runs what is due, until the signal. */
  keepFresh(signal: AbortSignal): Promise<void>;
}

export interface HealthCheckServiceOptions {
  readonly checks: readonly HealthCheck[];
  readonly context: Pick<HealthContext, 'figures' | 'machine' | 'facts'>;
  readonly limits: LimitSettings;
  readonly store: HealthResultStore;
  readonly db: Database;
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly events: EventBus<ApiEvents>;
  readonly log: Logger;
  announce(tx: Transaction, event: AnnouncedEvent): Promise<void>;
}

/** At once; more would make the checks themselves a load. */
const PARALLEL = 2;
const LOOK_EVERY_MS = 5_000;
/** Figures come in the first seconds after a start, some after a minute. What is unknown until then was not looked for long enough. */
const FIRST_RUN_MS = 25_000;
const WARM_UP_MS = 180_000;
const RETRY_MS = 30_000;
const KEEP_CHANGES_MS = 90 * DAY_MS;

interface Entry {
  result: HealthResult;
  streak: number;
  kept: KeptResult;
}

export function createHealthCheckService(options: HealthCheckServiceOptions): HealthCheckService {
  const { checks, context, limits, store, db, clock, calendar, events, log, announce } = options;
  const limit = (name: LimitName) => limitOf(name, limits);
  /** Of what was checked since the start. */
  const entries = new Map<string, Entry>();
  /** Of earlier lives; each is used once. */
  const kept = new Map<string, KeptResult>();
  const dueMs = new Map<string, number>();
  const startedMs = clock.monotonicMs();
  let forgottenMs = Number.NEGATIVE_INFINITY;

  const take = async (check: HealthCheck, finding: Finding | null): Promise<void> => {
    const before = entries.get(check.id);
    const known = before?.kept ?? kept.get(check.id) ?? null;
    if (finding === null) {
      if (known === null) return;
      await db.transaction((tx) => store.remove(tx, check.id));
      entries.delete(check.id);
      kept.delete(check.id);
      events.emit('health.changed', { id: check.id, title: check.title, status: null, was: known.status });
      return;
    }
    const at = clock.now().toISOString();
    const { status, evidence, hint, items } = finding;
    const isChange = known?.status !== status;
    const since = isChange ? at : known.since;
    const streak = isChange ? 1 : (before?.streak ?? 1) + 1;
    const memory = finding.memory ?? known?.memory ?? null;
    const telling = tellingOf(check, finding, { streak, told: known?.told ?? null, since });
    const now: KeptResult = { id: check.id, status, since, evidence, hint, items, memory, told: telling.told };
    if (isChange || memory !== known?.memory || telling.told !== known.told)
      await db.transaction(async (tx) => {
        await store.put(tx, now);
        if (isChange) await store.note(tx, check.id, { at, status, evidence });
        if (telling.event !== null) await announce(tx, telling.event);
      });
    kept.delete(check.id);
    const { id, number, title, everyMs } = check;
    entries.set(id, {
      kept: now,
      streak,
      result: {
        id,
        number,
        title,
        status,
        evidence,
        hint,
        items: [...items],
        since,
        checkedAt: at,
        everySeconds: everyMs / 1000,
      },
    });
    if (isChange) events.emit('health.changed', { id, title, status, was: known?.status ?? null });
  };

  const runOne = async (check: HealthCheck, signal: AbortSignal, isAsked: boolean): Promise<void> => {
    const finding = await runCheck(
      check,
      {
        ...context,
        limit,
        nowMs: clock.now().getTime(),
        memory: (entries.get(check.id)?.kept ?? kept.get(check.id))?.memory ?? null,
      },
      signal,
    );
    const isWarm = clock.monotonicMs() - startedMs > WARM_UP_MS;
    if (finding?.status === 'unknown' && !isWarm && !isAsked && !entries.has(check.id)) {
      dueMs.set(check.id, clock.monotonicMs() + RETRY_MS);
      return;
    }
    dueMs.set(check.id, clock.monotonicMs() + check.everyMs);
    await take(check, finding);
  };

  const forgetOld = async (): Promise<void> => {
    if (clock.monotonicMs() - forgottenMs < DAY_MS || calendar.leap() !== null) return;
    forgottenMs = clock.monotonicMs();
    await store.forgetBefore(new Date(clock.now().getTime() - KEEP_CHANGES_MS).toISOString());
  };

  const results = (): Health => {
    const all = [...entries.values()].map(({ result }) => result).toSorted((a, b) => a.number - b.number);
    const status: CheckStatus = worstStatus(all);
    return { status, results: all };
  };

  return {
    results,
    async detail(id) {
      const check = checks.find((one) => one.id === id);
      const entry = entries.get(id);
      if (check === undefined)
        throw new AppError('not_found', {
          detail: `There is no health check ${JSON.stringify(id)}.`,
          hint: 'See `hv health`.',
        });
      if (entry === undefined)
        throw new AppError('wrong_state', {
          detail: `The health check ${id} was not run yet, or there is nothing here that it looks at.`,
          hint: 'Run all with `hv health --run`.',
        });
      return {
        ...entry.result,
        meaning: check.meaning,
        limits: check.limits.map((name) => ({ name, ...limit(name) })),
        history: [...(await store.changes(id))],
      };
    },
    async runAll(signal, onDone) {
      let done = 0;
      await mapLimit(checks, PARALLEL, async (check) => {
        await runOne(check, signal, true);
        done += 1;
        onDone?.(done, checks.length, check.title);
      });
    },
    async load() {
      for (const result of await store.all()) kept.set(result.id, result);
    },
    async keepFresh(signal) {
      try {
        await clock.sleep(FIRST_RUN_MS, signal);
        while (!signal.aborted) {
          const now = clock.monotonicMs();
          const due = checks.filter(({ id }) => (dueMs.get(id) ?? 0) <= now);
          await mapLimit(due, PARALLEL, async (check) => {
            try {
              await runOne(check, signal, false);
            } catch (error) {
              if (signal.aborted) throw error;
              // The database cannot be written; what is known stays, and the check is run again.
              dueMs.set(check.id, clock.monotonicMs() + RETRY_MS);
              log.error(
                { err: error },
                `the result of the health check ${check.id} could not be kept: ${messageOf(error)}`,
              );
            }
          });
          await forgetOld().catch((error: unknown) =>
            log.error({ err: error }, 'old changes of health checks could not be removed'),
          );
          await clock.sleep(LOOK_EVERY_MS, signal);
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
  };
}
