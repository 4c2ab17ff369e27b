/** Starts operations, drives their steps, resumes them after a crash and undoes them when they fail.
 *  An accepted operation ends as done, failed or cancelled; only one that cannot be undone waits in `attention` for a person. */

import type { ApiEvents } from '#contract/events.ts';
import { FINAL_STATES, type Operation } from '#contract/operations.ts';
import type { AuditApi } from '#features/audit/index.ts';
import { nap } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Calendar } from '#platform/calendar.ts';
import type { Database } from '#platform/db/database.ts';
import type { Decide, Identity, MetricFamily } from '#platform/feature.ts';
import type { ChargeBook, OperationDefinition, ProjectNeed } from './definition.ts';
import { Cancelled, createEngine, type Live, ownerOf, Stopping } from './engine.ts';
import { createProgress } from './progress.ts';
import type { LockKeys, OperationQuery, OperationRow, OperationStore } from './store.ts';

const STOP_GRACE_MS = 9000;
/** How long one that takes over waits for the other to end. */
const TAKE_OVER_MS = 10_000;
const IDEMPOTENCY_HOURS = 24;
/** What could not be undone is tried again this often: its cause may be gone. */
const RETRY_EVERY_MS = 600_000;

/** Makes the exact type of a kind's input known to `start`. */
export interface RegisteredKind<Input> {
  readonly definition: OperationDefinition<Input>;
}

/** Who starts it and by which request; every ApiRequest has these. */
export interface StartRequest {
  readonly identity: Identity;
  /** Whose members may see it; null = the system. */
  readonly project: string | null;
  readonly requestId: string | null;
  readonly idempotencyKey: string | null;
  readonly requestHash: string;
  /** The route key, or the job's name. */
  readonly action: string;
}

export interface OperationsApi {
  /** Makes a kind known; during set-up only. A second one of the same kind is a start-up error. */
  register<Input>(definition: OperationDefinition<Input>): RegisteredKind<Input>;
  /** Who keeps the books of quotas; during set-up only. Without one nothing is counted. */
  chargeTo(book: ChargeBook): void;
  /** Journals the operation with its audit intent and begins it.
   *  @throws quota_exceeded; busy when another open operation holds one of its locks and does not give way; idempotency_key_reused; unavailable when it cannot be recorded */
  start<Input>(kind: RegisteredKind<Input>, input: Input, request: StartRequest): Promise<Operation>;
  /** The operation that an earlier request with this key started, or null. @throws idempotency_key_reused */
  repeated(request: Pick<StartRequest, 'identity' | 'idempotencyKey' | 'requestHash'>): Promise<Operation | null>;
  get(id: string): Promise<Operation | null>;
  /** Asks for a stop at the next safe point; one that could not be undone is tried again. @throws not_found, operation_over */
  cancel(id: string): Promise<Operation>;
  /** Tries again to undo what needs a person. @throws not_found, operation_not_waiting */
  retry(id: string): Promise<Operation>;
  /** Takes note of a failure. @throws not_found, operation_not_failed */
  dismiss(id: string): Promise<Operation>;
  /** The open operation that works on this object now. */
  openFor(objectId: string): Operation | null;
  /** Whether an operation that is not over holds this key alone. Never waits. */
  isLocked(key: string): boolean;
  /** Whether an operation that is not over holds this key, alone or with others. Never waits. */
  isHeld(key: string): boolean;
  /** @param of only those of these projects and VMs; null = all */
  newest(count: number, of?: OperationQuery['of']): Promise<Operation[]>;
  counts(): { readonly open: number; readonly attention: number };
  /** How many operations that are not over work in this project. */
  countIn(projectId: string): number;
  /** Resolves with the finished operation, or as it is after `timeoutMs`. */
  waitFor(id: string, timeoutMs: number): Promise<Operation>;
}

interface Dependencies {
  readonly store: OperationStore;
  readonly db: Database;
  readonly audit: AuditApi;
  readonly decide: Decide;
  /** False for a project that is not there, or is being deleted at this moment. */
  readonly isProjectOpen: (id: string) => boolean;
  readonly events: EventBus<ApiEvents>;
  readonly clock: Clock;
  readonly calendar: Pick<Calendar, 'leap'>;
  readonly log: Logger;
  readonly killPoint: string | null;
}

export interface Runner {
  readonly api: OperationsApi;
  readonly metrics: () => readonly MetricFamily[];
  readonly start: (signal: AbortSignal) => Promise<void>;
  readonly stop: () => Promise<void>;
}

export function createRunner({
  store,
  db,
  audit,
  decide,
  isProjectOpen,
  events,
  clock,
  calendar,
  log,
  killPoint,
}: Dependencies): Runner {
  const kinds = new Map<string, OperationDefinition<unknown>>();
  const live = new Map<string, Live>();
  /** Operations that need a person. */
  const attention = new Set<string>();
  const stopping = new AbortController();
  let retrying: Promise<void> = Promise.resolve();
  /** What operations that are not over hold, as the journal has it. */
  const locked = new Map<string, readonly string[]>();
  const shared = new Map<string, readonly string[]>();
  /** Where operations work that are not over, from before they are written down. */
  const working = new Map<string, ReadonlySet<string>>();
  let isStopping = false;
  let chargeBook: ChargeBook | null = null;

  /** What its starter holds now decides, not what he held then. */
  const isStillAllowed = ({ row, definition, input }: Live): boolean => {
    const who: Identity = {
      userId: row.user_id,
      user: row.actor,
      via: row.via,
      method: row.via === 'system' ? 'system' : 'socket',
      sessionId: null,
      tokenId: row.token_id,
      address: null,
    };
    const vmId = row.vm_id ?? undefined;
    return (
      decide(who, definition.permission, { type: 'system', id: row.id, project: row.project, vmId }).allow &&
      needsOf(definition, input).every(
        ({ permission, project }) => decide(who, permission, { type: 'system', id: row.id, project }).allow,
      )
    );
  };

  const needsOf = (definition: OperationDefinition<unknown>, input: unknown): readonly ProjectNeed[] =>
    definition.alsoNeeds?.(input) ?? [];
  const projectsOf = ({ row, definition, input }: Live): ReadonlySet<string> =>
    new Set([
      ...(row.project === null ? [] : [row.project]),
      ...needsOf(definition, input).map(({ project }) => project),
    ]);

  const engine = createEngine({
    store,
    db,
    isStillAllowed,
    audit,
    events,
    clock,
    log,
    killPoint,
    isStopping: () => isStopping,
    chargeBook: () => chargeBook,
    onAttention: (id) => void attention.add(id),
  });
  const { view, announce } = engine;

  const launch = (op: Live, work: () => Promise<void> = () => engine.run(op)) => {
    live.set(op.row.id, op);
    locked.set(op.row.id, op.definition.locks(op.input));
    shared.set(op.row.id, op.definition.shares?.(op.input) ?? []);
    working.set(op.row.id, projectsOf(op));
    op.finished = work().finally(() => {
      live.delete(op.row.id);
      if (FINAL_STATES.includes(op.row.state)) {
        locked.delete(op.row.id);
        shared.delete(op.row.id);
        working.delete(op.row.id);
      }
      announce(op);
    });
  };

  /** Waits for the work's end or for so long, leaving no timer behind. */
  const endOrAfter = async (work: Promise<unknown>, ms: number) => {
    const timer = new AbortController();
    // The sleep ends by the abort when the work was first; that rejection is the expected way out.
    await Promise.race([work, nap(clock, ms, timer.signal)]);
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

  const askToStop = async (op: Live, reason: AppError) => {
    await engine.setState(op, { cancel_asked: 1 });
    op.controller.abort(reason);
  };

  /** Cancels an operation that has to give way to this one and waits for its end; does nothing where none does. */
  const makeWay = async ({ row, definition }: Live, locks: LockKeys) => {
    const { takesOver } = definition;
    if (takesOver === undefined || takesOver.length === 0) return;
    const holder = await db.transaction((tx) => store.lockHolder(tx, locks));
    const other = holder ? live.get(holder.id) : undefined;
    if (!other || !takesOver.includes(other.row.kind)) return;
    log.info({ operation: other.row.id, kind: row.kind }, 'an operation gives way to another');
    await askToStop(other, new AppError('cancelled', { detail: `"${row.title}" took over.` }));
    await endOrAfter(other.finished, TAKE_OVER_MS);
  };

  /** Writes it down with its audit intent, or finds what an earlier request with the same key began. */
  const begin = async (op: Live, request: StartRequest): Promise<Operation> => {
    const { row, definition, input } = op;
    const now = new Date(row.created_at);
    const locks = { exclusive: definition.locks(input), shared: definition.shares?.(input) ?? [] };
    await makeWay(op, locks);
    const repeatedId = await db.transaction(async (tx) => {
      const actor = request.identity.userId;
      if (request.idempotencyKey !== null) {
        const known = await store.idempotent(tx, actor, request.idempotencyKey);
        if (known && known.expires_at > now.toISOString()) {
          if (known.request_hash !== request.requestHash) throw new AppError('idempotency_key_reused');
          return known.op_id;
        }
      }
      const holder = await store.lockHolder(tx, locks);
      if (holder) {
        const object = { type: 'operation', id: holder.id, project: holder.project } as const;
        const vmId = holder.object_type === 'vm' ? (holder.object_id ?? undefined) : undefined;
        // A hardware address or a name may be taken by a tenant whom the asker must not know of.
        if (!decide(request.identity, 'operation.read', { ...object, vmId }).allow)
          throw new AppError('busy', { detail: 'Another operation holds something that this one needs.' });
        throw new AppError('busy', {
          ...(holder.state === 'attention'
            ? {
                detail: `"${holder.title}" failed and could not be undone.`,
                hint: `See why (\`hv op show ${holder.id}\`), repair it, and try again (\`hv op retry ${holder.id}\`).`,
              }
            : {
                detail: `"${holder.title}" is not finished yet.`,
                hint: `Wait for it (\`hv op follow ${holder.id}\`) or cancel it (\`hv op cancel ${holder.id}\`).`,
              }),
          params: { operationId: holder.id },
        });
      }
      await store.insert(tx, row, op.steps, locks);
      const charges = op.definition.charges?.(input) ?? [];
      await chargeBook?.reserve(tx, { operationId: row.id, owner: ownerOf(row) }, charges);
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
        ...engine.auditBase(row, op.definition),
        address: request.identity.address,
        method: request.identity.method,
        sessionId: request.identity.sessionId ?? request.identity.tokenId,
        params: input,
        phase: 'intent',
        outcome: null,
        code: null,
      });
      return null;
    });
    if (repeatedId !== null) {
      const known = await current(repeatedId);
      if (!known) throw new AppError('not_found', { detail: 'The operation that this key started is no longer kept.' });
      return known;
    }
    const answer = view(op);
    launch(op);
    return answer;
  };

  const api: OperationsApi = {
    register(definition) {
      if (kinds.has(definition.kind)) throw new TypeError(`operation kind "${definition.kind}" is registered twice`);
      // The journal stores every input as JSON and parses it with the kind's own schema, so the type is checked where it is read.
      kinds.set(definition.kind, definition as OperationDefinition<unknown>);
      return { definition };
    },

    chargeTo(book) {
      chargeBook = book;
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
        via: request.identity.via,
        user_id: request.identity.userId,
        token_id: request.identity.tokenId,
        project: request.project,
        object_type: object?.type ?? null,
        object_id: object?.id ?? null,
        object_name: object?.name ?? null,
        vm_id: object?.type === 'vm' ? object.id : (definition.vm?.(input) ?? null),
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
        dismissed: 0,
      };
      if (isStopping)
        throw new AppError('unavailable', { detail: 'The daemon is stopping.', hint: 'Try again when it runs.' });
      const op = liveOf(row, kinds.get(definition.kind) ?? (definition as OperationDefinition<unknown>), input, null);
      const projects = projectsOf(op);
      for (const project of projects)
        if (!isProjectOpen(project))
          throw new AppError('not_found', { detail: 'The project was deleted meanwhile.', hint: 'Name another one.' });
      // Nothing waits between the question and this, so a deletion sees the operation or the operation sees the deletion.
      working.set(row.id, projects);
      try {
        const answer = await begin(op, request);
        if (answer.id !== row.id) working.delete(row.id);
        return answer;
      } catch (error) {
        working.delete(row.id);
        throw error;
      }
    },

    async repeated({ identity, idempotencyKey, requestHash }) {
      if (idempotencyKey === null) return null;
      const known = await db.transaction((tx) => store.idempotent(tx, identity.userId, idempotencyKey));
      if (!known || known.expires_at <= clock.now().toISOString()) return null;
      if (known.request_hash !== requestHash) throw new AppError('idempotency_key_reused');
      return current(known.op_id);
    },

    get: current,

    async cancel(id) {
      const op = live.get(id);
      if (!op) {
        const ended = await store.get(id);
        if (!ended) throw new AppError('not_found', { detail: `There is no operation ${id}.` });
        if (ended.state === 'attention') return api.retry(id);
        throw new AppError('operation_over');
      }
      await askToStop(op, new Cancelled());
      return view(op);
    },

    async retry(id) {
      const row = await store.row(id);
      if (!row) throw new AppError('not_found', { detail: `There is no operation ${id}.` });
      if (live.has(id) || !(await undoAgain(row))) throw new AppError('operation_not_waiting');
      const now = await current(id);
      if (!now) throw new AppError('not_found', { detail: `There is no operation ${id}.` });
      return now;
    },

    async dismiss(id) {
      const known = await current(id);
      if (!known) throw new AppError('not_found', { detail: `There is no operation ${id}.` });
      if (known.state !== 'failed') throw new AppError('operation_not_failed');
      await store.update(db, id, { dismissed: 1 });
      const dismissed = { ...known, isDismissed: true };
      events.emit('operation.changed', dismissed);
      return dismissed;
    },

    openFor(objectId) {
      for (const op of live.values()) if (op.row.object_id === objectId) return view(op);
      return null;
    },

    isLocked: (key) => [...locked.values()].some((keys) => keys.includes(key)),
    isHeld: (key) => [...locked.values(), ...shared.values()].some((keys) => keys.includes(key)),

    async newest(count, of = null) {
      const { items } = await store.list({ limit: count, of });
      return items.map((item) => {
        const op = live.get(item.id);
        return op ? view(op) : item;
      });
    },

    countIn: (projectId) => [...working.values()].filter((projects) => projects.has(projectId)).length,
    counts: () => ({ open: live.size, attention: attention.size }),

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
      attention.add(row.id);
      if (row.project !== null) working.set(row.id, new Set([row.project]));
      return;
    }
    const op = liveOf(row, definition, input.data, stored?.steps.map((step) => step.state) ?? null);
    log.info({ operation: row.id, kind: row.kind, step: row.step }, 'resuming an operation');
    launch(op);
  };

  /** @returns false when it does not wait for that, or somebody else was first */
  const undoAgain = async (row: OperationRow): Promise<boolean> => {
    if (!(await store.claimAttention(row.id))) return false;
    attention.delete(row.id);
    await resume({ ...row, state: 'compensating' });
    return true;
  };

  const keepRetrying = async (signal: AbortSignal) => {
    for (;;) {
      await nap(clock, RETRY_EVERY_MS, signal);
      if (signal.aborted) return;
      try {
        for (const row of await store.needingAttention()) if (!live.has(row.id)) await undoAgain(row);
      } catch (error) {
        log.warn({ err: error }, 'what could not be undone could not be tried again; it is in ten minutes');
      }
    }
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
        samples: [{ value: attention.size }],
      },
      {
        name: 'hyper_operations_ended_total',
        type: 'counter',
        help: 'Operations that ended since the start, by kind and state.',
        samples: [...engine.ended].map(([key, value]) => ({
          labels: { kind: key.split(' ')[0] ?? '', state: key.split(' ')[1] ?? '' },
          value,
        })),
      },
    ],
    async start() {
      if (calendar.leap() === null) await store.prune(clock.now());
      for (const { id } of await store.needingAttention()) await store.update(db, id, { state: 'compensating' });
      for (const row of await store.unfinished()) await resume(row);
      retrying = keepRetrying(stopping.signal);
    },
    async stop() {
      isStopping = true;
      stopping.abort();
      await retrying;
      for (const op of live.values()) op.controller.abort(new Stopping());
      await endOrAfter(Promise.all([...live.values()].map((op) => op.finished)), STOP_GRACE_MS);
    },
  };
}
