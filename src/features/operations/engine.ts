/** Drives one operation: its steps forwards, and backwards when it fails or is cancelled. Knows nothing of who starts operations. */

import type { ApiEvents } from '#contract/events.ts';
import type { Operation } from '#contract/operations.ts';
import type { AuditApi } from '#features/audit/index.ts';
import { withDeadline } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf, toAppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { ChargeBook, OperationDefinition, Step, StepContext } from './definition.ts';
import type { ProgressMeter } from './progress.ts';
import { type OperationRow, type OperationStore, viewOf } from './store.ts';

const DEFAULT_STEP_TIMEOUT_MS = 120_000;
const MAX_ATTEMPTS = 5;
const RETRY_DELAYS_MS = [500, 1000, 2000, 4000, 8000];
/** A host that does not answer may have done what it was asked: nothing is given up before it was asked what is so, unless it stays
 *  silent for this long. */
const HOST_PATIENCE_MS = 300_000;
/** How long to wait before an operation whose journal could not be written is taken up again. */
const JOURNAL_RETRY_MS = 5000;

/** An operation that this process works on. */
export interface Live {
  row: OperationRow;
  readonly definition: OperationDefinition<unknown>;
  readonly input: unknown;
  readonly steps: readonly Step[];
  readonly stepStates: Operation['steps'][number]['state'][];
  readonly memory: Map<string, unknown>;
  readonly controller: AbortController;
  readonly meter: ProgressMeter;
  finished: Promise<void>;
}

/** Why a running operation's signal was aborted. */
export class Cancelled extends AppError {
  constructor() {
    super('cancelled', { detail: 'It was cancelled.' });
  }
}
export class Stopping extends Error {}

interface Dependencies {
  readonly store: OperationStore;
  readonly db: Database;
  readonly audit: AuditApi;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly log: Logger;
  /** `kind:step:before|after|recorded|undone`, where the fault tests want the process to die; null in normal use. */
  readonly killPoint: string | null;
  readonly isStopping: () => boolean;
  /** Asked before each step: whether the one who started it may still do this. */
  readonly isStillAllowed: (op: Live) => boolean;
  /** Null where nobody counts. */
  readonly chargeBook: () => ChargeBook | null;
  /** An operation could not be undone and needs a person. */
  readonly onAttention: (id: string) => void;
}

export interface Engine {
  view(op: Live): Operation;
  announce(op: Live): void;
  /** Works until the operation is over, needs a person, or the daemon stops. Never rejects. */
  run(op: Live): Promise<void>;
  /** Undoes the operation for this reason. Never rejects. */
  abandon(op: Live, reason: AppError): Promise<void>;
  setState(op: Live, values: Partial<OperationRow>): Promise<void>;
  /** What every audit record of the operation says. */
  auditBase(row: OperationRow, definition: OperationDefinition<unknown>): AuditBase;
  /** How many ended since the start, by `kind state`. */
  readonly ended: ReadonlyMap<string, number>;
}

type AuditBase = Omit<Parameters<AuditApi['record']>[0], 'phase' | 'outcome' | 'code'>;

export function createEngine({
  store,
  db,
  audit,
  events,
  clock,
  log,
  killPoint,
  isStopping,
  isStillAllowed,
  chargeBook,
  onAttention,
}: Dependencies): Engine {
  const ended = new Map<string, number>();

  const view = (op: Live): Operation =>
    viewOf(
      op.row,
      op.steps.map((step, n) => ({ name: step.name, title: step.title, state: op.stepStates[n] ?? 'pending' })),
      { progress: op.meter.current() },
    );
  const announce = (op: Live) => events.emit('operation.changed', view(op));

  /** The fault tests kill the daemon here; inert without the variable. */
  const killHere = (op: Live, step: Step, when: 'before' | 'after' | 'recorded' | 'undone') => {
    if (killPoint === `${op.row.kind}:${step.name}:${when}`) process.kill(process.pid, 'SIGKILL');
  };

  const contextOf = (op: Live, signal: AbortSignal): StepContext => ({
    operationId: op.row.id,
    actor: op.row.actor,
    signal,
    log: log.child({ operation: op.row.id, kind: op.row.kind }),
    progress: (progress) => {
      if (op.meter.report(progress)) announce(op);
    },
    charge: async (charges) => {
      await db.transaction(async (tx) => {
        await chargeBook()?.reserve(tx, { operationId: op.row.id, owner: ownerOf(op.row) }, charges);
      });
    },
    remember: async (key, value) => {
      op.memory.set(key, value);
      op.row.memory = memoryOf(op);
      await store.update(db, op.row.id, { memory: op.row.memory });
    },
    rememberAtEnd: (key, value) => {
      op.memory.set(key, value);
    },
    recall: (key) => op.memory.get(key),
  });

  const markBegun = async (op: Live, n: number) => {
    const values = { state: 'running', attempt: op.row.attempt } as const;
    await db.transaction(async (tx) => {
      await store.setStep(tx, op.row.id, n, 'running');
      await store.update(tx, op.row.id, values);
    });
    op.row = { ...op.row, ...values };
    op.stepStates[n] = 'running';
    announce(op);
  };

  /** The end of a step and the beginning of the next are one write: each costs the disk a few milliseconds. */
  const markEnded = async (op: Live, n: number, state: 'done' | 'skipped') => {
    const next = n + 1;
    // Who cancelled meanwhile, or may no longer, does not begin it.
    const goesOn = next < op.steps.length && !op.controller.signal.aborted && isStillAllowed(op);
    const values = { step: next, attempt: 0, memory: memoryOf(op) };
    await db.transaction(async (tx) => {
      await store.setStep(tx, op.row.id, n, state);
      if (goesOn) await store.setStep(tx, op.row.id, next, 'running');
      await store.update(tx, op.row.id, values);
    });
    op.row = { ...op.row, ...values };
    op.stepStates[n] = state;
    if (goesOn) op.stepStates[next] = 'running';
    op.meter.reset();
    announce(op);
  };

  const setState = async (op: Live, values: Partial<OperationRow>) => {
    // The file first: what this process believes must never be ahead of what survives it.
    await store.update(db, op.row.id, values);
    op.row = { ...op.row, ...values };
    announce(op);
  };

  const runStep = async (op: Live, step: Step, n: number) => {
    op.meter.reset();
    if (op.stepStates[n] !== 'running' || op.row.attempt > 0) await markBegun(op, n);
    killHere(op, step, 'before');
    const timeoutMs = step.timeoutMs === undefined ? DEFAULT_STEP_TIMEOUT_MS : step.timeoutMs;
    // A step that cannot stop half-way is not told of a cancel; the runner looks at the boundary.
    const outer = step.isCancellable ? op.controller.signal : undefined;
    const work = async (signal: AbortSignal) => {
      const context = contextOf(op, signal);
      if (await step.check?.(context)) return false;
      await step.act(context);
      return true;
    };
    const acted =
      timeoutMs === null
        ? await work(outer ?? new AbortController().signal)
        : await withDeadline(step.title, timeoutMs, work, outer);
    killHere(op, step, 'after');
    await markEnded(op, n, acted ? 'done' : 'skipped');
    killHere(op, step, 'recorded');
  };

  const tellWaiting = (op: Live) => {
    op.meter.report({ note: 'libvirt does not answer; waiting for it' });
    announce(op);
  };

  /** Runs what is left of the steps. @throws what ended it */
  const forward = async (op: Live) => {
    for (let n = op.row.step; n < op.steps.length; n += 1) {
      const step = op.steps[n];
      if (!step) break;
      if (!isStillAllowed(op)) throw new AppError('no_longer_allowed');
      let silentSinceMs: number | null = null;
      for (;;) {
        if (op.controller.signal.aborted) throw op.controller.signal.reason;
        try {
          await runStep(op, step, n);
          break;
        } catch (error) {
          if (op.controller.signal.aborted) throw op.controller.signal.reason;
          const problem = toAppError(error);
          op.row.attempt += 1;
          silentSinceMs = isSilence(problem) ? (silentSinceMs ?? clock.monotonicMs()) : null;
          const isOver =
            silentSinceMs === null
              ? problem.status !== 503 || op.row.attempt >= MAX_ATTEMPTS
              : clock.monotonicMs() - silentSinceMs >= HOST_PATIENCE_MS;
          if (isOver) throw error;
          if (silentSinceMs !== null) tellWaiting(op);
          log.warn(
            { operation: op.row.id, step: step.name, attempt: op.row.attempt, err: error },
            'step failed for now; trying again',
          );
          await clock.sleep(RETRY_DELAYS_MS[op.row.attempt - 1] ?? 8000, op.controller.signal);
        }
      }
    }
  };

  const backward = async (op: Live) => {
    for (let n = Math.min(op.row.step, op.steps.length - 1); n >= 0; n -= 1) {
      const step = op.steps[n];
      if (!step?.compensate || op.stepStates[n] === 'pending' || op.stepStates[n] === 'undone') continue;
      for (let attempt = 0; ; attempt += 1) {
        if (isStopping()) throw new Stopping();
        try {
          const compensate = step.compensate;
          await withDeadline(`Undo: ${step.title}`, DEFAULT_STEP_TIMEOUT_MS, (signal) =>
            compensate.call(step, contextOf(op, signal)),
          );
          break;
        } catch (error) {
          log.error({ operation: op.row.id, step: step.name, attempt, err: error }, 'undoing a step failed');
          // What a silent host has of it can only be undone when it answers again, however long that takes.
          if (isSilence(toAppError(error))) tellWaiting(op);
          else if (attempt + 1 >= MAX_ATTEMPTS) throw error;
          await clock.sleep(RETRY_DELAYS_MS[attempt] ?? 8000);
        }
      }
      op.stepStates[n] = 'undone';
      await store.setStep(db, op.row.id, n, 'undone');
      killHere(op, step, 'undone');
      announce(op);
    }
  };

  const finish = async (op: Live, state: 'done' | 'failed' | 'cancelled', error: AppError | null, result: unknown) => {
    const values: Partial<OperationRow> = {
      state,
      finished_at: clock.now().toISOString(),
      error: error
        ? JSON.stringify({ code: error.code, title: error.title, detail: error.message, hint: error.hint })
        : null,
      result: result === undefined ? null : JSON.stringify(result),
    };
    await db.transaction(async (tx) => {
      await store.update(tx, op.row.id, values);
      await store.releaseLocks(tx, op.row.id);
      await chargeBook()?.settle(tx, op.row.id, state === 'done');
      await audit.write(tx, {
        ...auditBase(op.row, op.definition),
        phase: 'outcome',
        outcome: state,
        code: error?.code ?? null,
      });
    });
    op.row = { ...op.row, ...values };
    op.meter.reset();
    ended.set(`${op.row.kind} ${state}`, (ended.get(`${op.row.kind} ${state}`) ?? 0) + 1);
  };

  const auditBase = (row: OperationRow, definition: OperationDefinition<unknown>): AuditBase => ({
    actor: row.actor,
    via: row.via,
    address: null,
    action: row.action,
    permission: definition.permission,
    objectType: row.object_type,
    objectId: row.object_id,
    objectName: row.object_name,
    requestId: row.request_id,
    operationId: row.id,
    actorId: row.user_id,
    project: row.project,
  });

  const undo = async (op: Live, reason: AppError) => {
    try {
      if (op.row.state !== 'compensating') {
        const failedStep = op.stepStates.indexOf('running');
        if (failedStep >= 0) op.stepStates[failedStep] = 'failed';
        if (failedStep >= 0) await store.setStep(db, op.row.id, failedStep, 'failed');
        await setState(op, {
          state: 'compensating',
          error: JSON.stringify({ code: reason.code, title: reason.title, detail: reason.message, hint: reason.hint }),
        });
      }
      await backward(op);
      await finish(op, reason.code === 'cancelled' ? 'cancelled' : 'failed', reason, undefined);
    } catch (error) {
      if (error instanceof Stopping) return;
      log.error({ operation: op.row.id, err: error }, 'an operation could not be undone and needs a person');
      await setState(op, {
        state: 'attention',
        error: JSON.stringify({
          code: reason.code,
          title: reason.title,
          detail: `${sentence(reason.message)} Undoing it failed too: ${sentence(error instanceof AppError ? error.message : 'see the log of hyperd')}`,
          hint: `Look at what is left with \`hv op show ${op.row.id}\` and repair the cause. It is tried again every ten minutes, at once with \`hv op retry ${op.row.id}\`.`,
        }),
      });
      onAttention(op.row.id);
    }
  };

  const storedReason = (row: OperationRow): AppError => {
    const stored: unknown = row.error === null ? null : JSON.parse(row.error);
    const code =
      typeof stored === 'object' && stored !== null && 'code' in stored ? String(stored.code) : 'interrupted';
    const detail =
      typeof stored === 'object' && stored !== null && 'detail' in stored
        ? String(stored.detail)
        : 'It was interrupted.';
    try {
      return new AppError(code, { detail });
    } catch {
      // The code belonged to a slice that is gone; the text still tells.
      return new AppError('interrupted', { detail });
    }
  };

  const drive = async (op: Live) => {
    let result: unknown;
    try {
      if (op.row.state === 'compensating') {
        await undo(op, storedReason(op.row));
        return;
      }
      if (op.row.cancel_asked) throw new Cancelled();
      await forward(op);
      result = await op.definition.result?.(op.input, contextOf(op, op.controller.signal));
    } catch (error) {
      if (error instanceof Stopping || isStopping()) return;
      const problem = toAppError(error);
      if (problem.code !== 'cancelled')
        log.warn(
          { operation: op.row.id, kind: op.row.kind, err: problem.cause ?? problem, code: problem.code },
          `operation failed: ${problem.message}`,
        );
      await undo(op, problem);
      return;
    }
    // Nothing is left to do: that this cannot be written down is no reason to undo it.
    await finish(op, 'done', null, result);
  };

  /** The journal may be out of reach for a while (a full disk): the work is taken up again, not forgotten. */
  const persist = async (op: Live, work: () => Promise<void>) => {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        log.error({ operation: op.row.id, err: error }, `the journal could not be written: ${messageOf(error)}`);
        if (isStopping()) return;
        await clock.sleep(JOURNAL_RETRY_MS);
      }
    }
  };

  return {
    view,
    announce,
    setState,
    auditBase,
    run: (op) => persist(op, () => drive(op)),
    abandon: (op, reason) => persist(op, () => undo(op, reason)),
    ended,
  };
}

const memoryOf = ({ memory }: Live): string => JSON.stringify(Object.fromEntries(memory));

/** Whose the things are that the operation makes. */
export function ownerOf(row: OperationRow): string {
  return row.user_id;
}

/** The host did not answer, so what it did is not known. */
function isSilence(problem: AppError): boolean {
  return problem.code === 'libvirt_unavailable';
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
