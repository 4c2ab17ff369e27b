/** Starts operations, drives their steps, resumes them after a crash and undoes them when they fail.
 *  An accepted operation ends as done, failed or cancelled; only one that cannot be undone waits in `attention` for a person. */

import type { ApiEvents } from '#contract/events.ts';
import type { Operation } from '#contract/operations.ts';
import type { AuditApi } from '#features/audit/index.ts';
import { withDeadline } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf, toAppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database } from '#platform/db/database.ts';
import type { Decide, Identity, MetricFamily } from '#platform/feature.ts';
import type { OperationDefinition, Step, StepContext } from './definition.ts';
import { createProgress, type ProgressMeter } from './progress.ts';
import { type OperationRow, type OperationStore, viewOf } from './store.ts';

const DEFAULT_STEP_TIMEOUT_MS = 120_000;
const MAX_ATTEMPTS = 5;
const RETRY_DELAYS_MS = [500, 1000, 2000, 4000, 8000];
const STOP_GRACE_MS = 9000;
const IDEMPOTENCY_HOURS = 24;

/** Makes the exact type of a kind's input known to `start`. */
export interface RegisteredKind<Input> {
  readonly definition: OperationDefinition<Input>;
}

/** Who starts it and by which request; every ApiRequest has these. */
export interface StartRequest {
  readonly identity: Identity;
  readonly requestId: string | null;
  readonly idempotencyKey: string | null;
  readonly requestHash: string;
  /** The route key, or the job's name. */
  readonly action: string;
}

export interface OperationsApi {
  /** Makes a kind known; during set-up only. A second one of the same kind is a start-up error. */
  register<Input>(definition: OperationDefinition<Input>): RegisteredKind<Input>;
  /** Journals the operation with its audit intent and begins it.
   *  @throws busy when another open operation holds one of its locks; idempotency_key_reused; unavailable when it cannot be recorded */
  start<Input>(kind: RegisteredKind<Input>, input: Input, request: StartRequest): Promise<Operation>;
  /** The operation that an earlier request with this key started, or null. @throws idempotency_key_reused */
  repeated(request: Pick<StartRequest, 'identity' | 'idempotencyKey' | 'requestHash'>): Promise<Operation | null>;
  get(id: string): Promise<Operation | null>;
  /** Asks for a stop at the next safe point. @throws not_found, operation_over */
  cancel(id: string): Promise<Operation>;
  /** The open operation that works on this object now. */
  openFor(objectId: string): Operation | null;
  newest(count: number): Promise<Operation[]>;
  counts(): { readonly open: number; readonly attention: number };
  /** Resolves with the finished operation, or as it is after `timeoutMs`. */
  waitFor(id: string, timeoutMs: number): Promise<Operation>;
}

interface Live {
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
class Cancelled extends AppError {
  constructor() {
    super('cancelled', { detail: 'It was cancelled.' });
  }
}
class Stopping extends Error {}

interface Dependencies {
  readonly store: OperationStore;
  readonly db: Database;
  readonly audit: AuditApi;
  readonly decide: Decide;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly killPoint: string | null;
}

export interface Runner {
  readonly api: OperationsApi;
  readonly metrics: () => readonly MetricFamily[];
  readonly start: (signal: AbortSignal) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export function createRunner({ store, db, audit, decide, events, clock, log, killPoint }: Dependencies): Runner {
  const kinds = new Map<string, OperationDefinition<unknown>>();
  const live = new Map<string, Live>();
  const ended = new Map<string, number>();
  let attention = 0;
  let isStopping = false;

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
    remember: async (key, value) => {
      op.memory.set(key, value);
      op.row.memory = JSON.stringify(Object.fromEntries(op.memory));
      await store.update(db, op.row.id, { memory: op.row.memory });
    },
    recall: (key) => op.memory.get(key),
  });

  const mark = async (op: Live, n: number, state: Live['stepStates'][number]) => {
    op.stepStates[n] = state;
    if (state === 'done' || state === 'skipped') op.row.step = n + 1;
    await db.transaction(async (tx) => {
      await store.setStep(tx, op.row.id, n, state);
      await store.update(tx, op.row.id, { step: op.row.step, attempt: op.row.attempt });
    });
    announce(op);
  };

  const setState = async (op: Live, values: Partial<OperationRow>) => {
    op.row = { ...op.row, ...values };
    await store.update(db, op.row.id, values);
    announce(op);
  };

  const runStep = async (op: Live, step: Step, n: number) => {
    op.meter.reset();
    await mark(op, n, 'running');
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
    await mark(op, n, acted ? 'done' : 'skipped');
    killHere(op, step, 'recorded');
  };

  /** Runs what is left of the steps. @throws what ended it */
  const forward = async (op: Live) => {
    for (let n = op.row.step; n < op.steps.length; n += 1) {
      const step = op.steps[n];
      if (!step) break;
      for (;;) {
        if (op.controller.signal.aborted) throw op.controller.signal.reason;
        try {
          await runStep(op, step, n);
          op.row.attempt = 0;
          break;
        } catch (error) {
          if (op.controller.signal.aborted) throw op.controller.signal.reason;
          const problem = toAppError(error);
          op.row.attempt += 1;
          if (problem.status !== 503 || op.row.attempt >= MAX_ATTEMPTS) throw error;
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
        if (isStopping) throw new Stopping();
        try {
          const compensate = step.compensate;
          await withDeadline(`Undo: ${step.title}`, DEFAULT_STEP_TIMEOUT_MS, (signal) =>
            compensate.call(step, contextOf(op, signal)),
          );
          break;
        } catch (error) {
          log.error({ operation: op.row.id, step: step.name, attempt, err: error }, 'undoing a step failed');
          if (attempt + 1 >= MAX_ATTEMPTS) throw error;
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
      await audit.write(tx, { ...auditBase(op.row), phase: 'outcome', outcome: state, code: error?.code ?? null });
    });
    op.row = { ...op.row, ...values };
    op.meter.reset();
    ended.set(`${op.row.kind} ${state}`, (ended.get(`${op.row.kind} ${state}`) ?? 0) + 1);
  };

  const auditBase = (row: OperationRow) => ({
    actor: row.actor,
    via: row.via,
    address: null,
    action: row.action,
    permission: kinds.get(row.kind)?.permission ?? null,
    objectType: row.object_type,
    objectId: row.object_id,
    objectName: row.object_name,
    requestId: row.request_id,
    operationId: row.id,
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
      attention += 1;
      log.error({ operation: op.row.id, err: error }, 'an operation could not be undone and needs a person');
      await setState(op, {
        state: 'attention',
        error: JSON.stringify({
          code: reason.code,
          title: reason.title,
          detail: `${reason.message} Undoing it failed too: ${error instanceof AppError ? error.message : 'see the log of hyperd'}.`,
          hint: `Look at what is left with \`hv op show ${op.row.id}\`, repair the cause and restart hyperd: it tries again.`,
        }),
      });
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
    try {
      if (op.row.state === 'compensating') {
        await undo(op, storedReason(op.row));
        return;
      }
      if (op.row.state !== 'running') await setState(op, { state: 'running' });
      if (op.row.cancel_asked) throw new Cancelled();
      await forward(op);
      const result = await op.definition.result?.(op.input, contextOf(op, op.controller.signal));
      await finish(op, 'done', null, result);
    } catch (error) {
      if (error instanceof Stopping || isStopping) return;
      const problem = toAppError(error);
      if (problem.code !== 'cancelled')
        log.warn(
          { operation: op.row.id, kind: op.row.kind, err: problem.cause ?? problem, code: problem.code },
          `operation failed: ${problem.message}`,
        );
      await undo(op, problem);
    }
  };

  const launch = (op: Live) => {
    live.set(op.row.id, op);
    op.finished = drive(op)
      .catch((error: unknown) =>
        log.error({ operation: op.row.id, err: error }, `the journal could not be written: ${messageOf(error)}`),
      )
      .finally(() => {
        live.delete(op.row.id);
        announce(op);
      });
  };

  /** Waits for the work's end or for so long, leaving no timer behind. */
  const endOrAfter = async (work: Promise<unknown>, ms: number) => {
    const timer = new AbortController();
    // The sleep ends by the abort when the work was first; that rejection is the expected way out.
    await Promise.race([work, clock.sleep(ms, timer.signal).catch(() => undefined)]);
    timer.abort();
  };

  const liveOf = (
    row: OperationRow,
    definition: OperationDefinition<unknown>,
    input: unknown,
    states: Live['stepStates'] | null,
  ): Live => {
    const steps = definition.steps(input);
    return {
      row,
      definition,
      input,
      steps,
      stepStates: states ?? steps.map(() => 'pending'),
      memory: new Map(Object.entries(JSON.parse(row.memory))),
      controller: new AbortController(),
      meter: createProgress(clock),
      finished: Promise.resolve(),
    };
  };

  const current = async (id: string): Promise<Operation | null> => {
    const op = live.get(id);
    return op ? view(op) : store.get(id);
  };

  const api: OperationsApi = {
    register(definition) {
      if (kinds.has(definition.kind)) throw new TypeError(`operation kind "${definition.kind}" is registered twice`);
      // The journal stores every input as JSON and parses it with the kind's own schema, so the type is checked where it is read.
      kinds.set(definition.kind, definition as OperationDefinition<unknown>);
      return { definition };
    },

    async start(kind, input, request) {
      const { definition } = kind;
      const object = definition.object(input);
      const now = clock.now();
      const row: OperationRow = {
        id: newId('op', now.getTime()),
        kind: definition.kind,
        title: definition.title(input),
        actor: request.identity.user,
        role: request.identity.role,
        via: request.identity.via,
        object_type: object?.type ?? null,
        object_id: object?.id ?? null,
        object_name: object?.name ?? null,
        input: JSON.stringify(input),
        memory: '{}',
        state: 'pending',
        step: 0,
        attempt: 0,
        cancel_asked: 0,
        error: null,
        result: null,
        action: request.action,
        request_id: request.requestId,
        created_at: now.toISOString(),
        finished_at: null,
      };
      if (isStopping)
        throw new AppError('unavailable', { detail: 'The daemon is stopping.', hint: 'Try again when it runs.' });
      const op = liveOf(row, kinds.get(definition.kind) ?? (definition as OperationDefinition<unknown>), input, null);
      const repeatedId = await db.transaction(async (tx) => {
        const actor = request.identity.user;
        if (request.idempotencyKey !== null) {
          const known = await store.idempotent(tx, actor, request.idempotencyKey);
          if (known && known.expires_at > now.toISOString()) {
            if (known.request_hash !== request.requestHash) throw new AppError('idempotency_key_reused');
            return known.op_id;
          }
        }
        const locks = definition.locks(input);
        const holder = await store.lockHolder(tx, locks);
        if (holder) {
          throw new AppError('busy', {
            detail: `"${holder.title}" is not finished yet.`,
            hint: `Wait for it (\`hv op follow ${holder.id}\`) or cancel it (\`hv op cancel ${holder.id}\`).`,
            params: { operationId: holder.id },
          });
        }
        await store.insert(tx, row, op.steps, locks);
        if (request.idempotencyKey !== null) {
          const expires = new Date(now.getTime() + IDEMPOTENCY_HOURS * 3_600_000).toISOString();
          await store.rememberKey(tx, {
            actor,
            key: request.idempotencyKey,
            request_hash: request.requestHash,
            op_id: row.id,
            expires_at: expires,
          });
        }
        await audit.write(tx, {
          ...auditBase(row),
          address: request.identity.address,
          phase: 'intent',
          outcome: null,
          code: null,
        });
        return null;
      });
      if (repeatedId !== null) {
        const known = await current(repeatedId);
        if (!known)
          throw new AppError('not_found', { detail: 'The operation that this key started is no longer kept.' });
        return known;
      }
      const answer = view(op);
      launch(op);
      return answer;
    },

    async repeated({ identity, idempotencyKey, requestHash }) {
      if (idempotencyKey === null) return null;
      const known = await db.transaction((tx) => store.idempotent(tx, identity.user, idempotencyKey));
      if (!known || known.expires_at <= clock.now().toISOString()) return null;
      if (known.request_hash !== requestHash) throw new AppError('idempotency_key_reused');
      return current(known.op_id);
    },

    get: current,

    async cancel(id) {
      const op = live.get(id);
      if (!op) {
        if (!(await store.get(id))) throw new AppError('not_found', { detail: `There is no operation ${id}.` });
        throw new AppError('operation_over');
      }
      await setState(op, { cancel_asked: 1 });
      op.controller.abort(new Cancelled());
      return view(op);
    },

    openFor(objectId) {
      for (const op of live.values()) if (op.row.object_id === objectId) return view(op);
      return null;
    },

    async newest(count) {
      const { items } = await store.list({ limit: count });
      return items.map((item) => {
        const op = live.get(item.id);
        return op ? view(op) : item;
      });
    },

    counts: () => ({ open: live.size, attention }),

    async waitFor(id, timeoutMs) {
      const op = live.get(id);
      if (op) await endOrAfter(op.finished, timeoutMs);
      const now = await current(id);
      if (!now) throw new AppError('not_found', { detail: `There is no operation ${id}.` });
      return now;
    },
  };

  const resume = async (row: OperationRow) => {
    const definition = kinds.get(row.kind);
    const stored = await store.get(row.id);
    const input = definition?.input.safeParse(JSON.parse(row.input));
    if (!definition || !input?.success) {
      log.error(
        { operation: row.id, kind: row.kind },
        'an unfinished operation of an unknown kind was found; it needs a person',
      );
      await store.update(db, row.id, { state: 'attention' });
      return;
    }
    const op = liveOf(row, definition, input.data, stored?.steps.map((step) => step.state) ?? null);
    const identity: Identity = { user: row.actor, role: row.role, via: row.via, sessionId: null, address: null };
    log.info({ operation: row.id, kind: row.kind, step: row.step }, 'resuming an operation');
    if (row.state !== 'compensating' && !decide(identity, definition.permission)) {
      live.set(row.id, op);
      op.finished = undo(op, new AppError('no_longer_allowed')).finally(() => live.delete(row.id));
      return;
    }
    launch(op);
  };

  return {
    api,
    metrics: () => [
      {
        name: 'hyper_operations_open',
        type: 'gauge',
        help: 'Operations that are not finished.',
        samples: [{ value: live.size }],
      },
      {
        name: 'hyper_operations_attention',
        type: 'gauge',
        help: 'Operations that wait for a person.',
        samples: [{ value: attention }],
      },
      {
        name: 'hyper_operations_ended_total',
        type: 'counter',
        help: 'Operations that ended since the start, by kind and state.',
        samples: [...ended].map(([key, value]) => ({
          labels: { kind: key.split(' ')[0] ?? '', state: key.split(' ')[1] ?? '' },
          value,
        })),
      },
    ],
    async start() {
      await store.prune(clock.now());
      // `attention` is tried again at each start: the person has repaired the cause by then.
      const waiting = (await store.list({ limit: 1000, state: 'attention' })).items;
      for (const { id } of waiting) await store.update(db, id, { state: 'compensating' });
      for (const row of await store.unfinished()) await resume(row);
      attention = await store.countAttention();
    },
    async stop() {
      isStopping = true;
      for (const op of live.values()) op.controller.abort(new Stopping());
      await endOrAfter(Promise.all([...live.values()].map((op) => op.finished)), STOP_GRACE_MS);
    },
  };
}
