/** Puts records into the chain: within the transaction of the change that they tell of, or in groups of their own. Nothing is done that
 *  could not be recorded; what was done and could not be recorded at once is recorded later. */

import { createHash } from 'node:crypto';
import { CompiledQuery } from 'kysely';
import type { z } from 'zod';
import type { AuditRecord } from '#contract/audit.ts';
import { chainHash, GENESIS } from '#contract/audit-chain.ts';
import type { ApiEvents } from '#contract/events.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError, messageOf, toAppError } from '#kernel/errors.ts';
import type { EventBus } from '#kernel/event-bus.ts';
import { newId } from '#kernel/ids.ts';
import type { Logger } from '#kernel/logger.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { bodyOf, bodyTail, type RecordView } from './body.ts';
import { type DenialFold, isSignIn } from './fold.ts';
import type { AuditTables } from './migrations.ts';
import type { Redact } from './redact.ts';
import { systemEntry } from './system-entry.ts';

type Added = 'id' | 'at' | 'seq' | 'hash';
type Further = 'actorId' | 'method' | 'sessionId' | 'project' | 'grant' | 'params' | 'durationMs';

/** One record without what is added to it. `params` are the values as they came: secrets in them are hidden here. */
export interface AuditEntry extends Omit<AuditRecord, Added | Further>, Partial<Pick<AuditRecord, Further>> {
  /** Schema of `params`, which may say what in them is secret. */
  readonly schema?: z.ZodType | undefined;
}

/** Record and hash of the end of the chain. */
export interface Head {
  readonly seq: number;
  readonly hash: string;
}

export interface Writer {
  write(tx: Transaction, entry: AuditEntry): Promise<void>;
  record(entry: AuditEntry): Promise<void>;
  /** Keeps what could not be recorded when it was done, and records it as soon as that works. */
  later(entry: AuditEntry): void;
  /** Takes a record of the time before the chain into it, as it is. */
  adopt(tx: Transaction, view: RecordView): Promise<void>;
  head(): Promise<Head>;
  /** Why nothing can be recorded at present; null = it can, or was not tried since it could. */
  readonly trouble: string | null;
  /** Requests and operations of this life whose outcome is still to come. */
  isOpen(id: string): boolean;
  /** Tries whether a record can be written now, by writing one that says so. */
  canRecord(): Promise<boolean>;
  /** Records what is due: late outcomes and counted refusals. */
  tick(): Promise<void>;
  readonly counts: {
    readonly recorded: number;
    readonly groups: number;
    readonly late: number;
    readonly refused: number;
  };
}

interface WriterParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly events: EventBus<ApiEvents>;
  readonly log: Logger;
  readonly redact: Redact;
  readonly fold: DenialFold;
  /** Rejects when a mirror that must be there does not answer. */
  readonly gate: (phase: AuditRecord['phase']) => Promise<void>;
  /** Called after each commit with the new end of the chain. */
  readonly onCommit: (head: Head) => void;
}

const INSERT = 'INSERT INTO audit(seq, body, hash) VALUES(?, ?, ?)';
const GROUP = 500;
const MAX_LATE = 10_000;

interface Prepared {
  readonly view: RecordView;
  readonly tail: string;
}

interface Waiting extends Prepared {
  readonly phase: AuditRecord['phase'];
  resolve(): void;
  reject(error: unknown): void;
}

export function createWriter({ db, clock, events, log, redact, fold, gate, onCommit }: WriterParts): Writer {
  const boot = createHash('sha256').update(newId('aud')).digest('hex').slice(0, 16);
  /** The end of the chain as it is on disk; null = not read yet. */
  let committed: Head | null = null;
  /** The end as a running transaction sees it. */
  const inFlight = new WeakMap<Transaction, Head>();
  /** Requests and operations that began, by id, with the time. */
  const open = new Map<string, number>();
  let queue: Waiting[] = [];
  let isFlushing = false;
  const late: AuditEntry[] = [];
  let trouble: string | null = null;
  const counts = { recorded: 0, groups: 0, late: 0, refused: 0 };

  const unavailable = (error: unknown): AppError => {
    const reason = error instanceof AppError ? error.message : messageOf(error);
    if (trouble === null) log.error({ err: error }, `nothing can be recorded, so nothing is changed: ${reason}`);
    trouble = reason;
    return new AppError('audit_unavailable', { cause: error });
  };

  const keyOf = ({ operationId, requestId }: Pick<AuditEntry, 'operationId' | 'requestId'>) => operationId ?? requestId;

  const prepare = (entry: AuditEntry): Prepared => {
    const { schema, ...given } = entry;
    const now = clock.now();
    const key = keyOf(entry);
    const beganMs = key === null ? undefined : open.get(key);
    const mono = clock.monotonicMs();
    const view: RecordView = {
      ...given,
      id: newId('aud', now.getTime()),
      at: now.toISOString(),
      actorId: given.actorId ?? null,
      method: given.method ?? null,
      // The id of a session is no secret that signs in, but it is nobody's business either.
      sessionId: given.sessionId ? createHash('sha256').update(given.sessionId).digest('hex').slice(0, 16) : null,
      project: given.project ?? null,
      grant: given.grant ?? null,
      params: redact(given.params, schema) ?? null,
      durationMs:
        given.durationMs ?? (entry.phase === 'outcome' && beganMs !== undefined ? Math.round(mono - beganMs) : null),
    };
    return { view, tail: bodyTail(view, { boot, mono }) };
  };

  const readHead = async ({ tables: view }: Pick<Transaction, 'tables'>): Promise<Head> => {
    const tables = view<AuditTables>();
    const row = await tables
      .selectFrom('audit')
      .select(['seq', 'hash'])
      .orderBy('seq', 'desc')
      .limit(1)
      .executeTakeFirst();
    if (row) return row;
    // Everything was removed for its age: the chain goes on behind the stub.
    const stub = await tables.selectFrom('audit_stub').select(['seq', 'body']).executeTakeFirst();
    const hash = /"hash":"([0-9a-f]{64})"/.exec(stub?.body ?? '')?.[1];
    return stub && hash ? { seq: stub.seq, hash } : { seq: 0, hash: GENESIS };
  };

  const head = async (): Promise<Head> => {
    committed ??= await readHead(db);
    return committed;
  };

  /** Appends; what the transaction then does decides whether it stays. */
  const append = async (tx: Transaction, { view, tail }: Prepared): Promise<void> => {
    const known = inFlight.get(tx);
    const end = known ?? committed ?? (await readHead(tx));
    const seq = end.seq + 1;
    const body = bodyOf(seq, end.hash, tail);
    const hash = chainHash(end.hash, body);
    await tx.tables<AuditTables>().executeQuery(CompiledQuery.raw(INSERT, [seq, body, hash]));
    inFlight.set(tx, { seq, hash });
    tx.afterCommit(() => {
      committed = { seq, hash };
      trouble = null;
      counts.recorded += 1;
      const key = keyOf(view);
      if (key !== null && view.phase === 'intent') open.set(key, clock.monotonicMs());
      else if (key !== null) open.delete(key);
      events.emit('audit.recorded', { ...view, seq, hash });
    });
    // Once for each transaction, after all of its records.
    if (known === undefined) tx.afterCommit(() => onCommit(inFlight.get(tx) ?? { seq, hash }));
  };

  const flush = async () => {
    isFlushing = true;
    // Those that arrive in the same turn share one commit; while it is made, the next group gathers.
    await new Promise((resolve) => setImmediate(resolve));
    while (queue.length > 0) {
      const group = queue.slice(0, GROUP);
      queue = queue.slice(GROUP);
      try {
        const wanted = new Set(group.map(({ phase }) => phase));
        const refusals = new Map<AuditRecord['phase'], unknown>();
        for (const phase of wanted) await gate(phase).catch((error: unknown) => void refusals.set(phase, error));
        const allowed = group.filter(({ phase }) => !refusals.has(phase));
        for (const each of group) if (refusals.has(each.phase)) each.reject(refusals.get(each.phase));
        if (allowed.length === 0) continue;
        try {
          await db.transaction(async (tx) => {
            for (const each of allowed) await append(tx, each);
          });
          counts.groups += 1;
          for (const each of allowed) each.resolve();
        } catch (error) {
          for (const each of allowed) each.reject(error);
        }
      } catch (error) {
        for (const each of group) each.reject(error);
      }
      if (queue.length > 0) await new Promise((resolve) => setImmediate(resolve));
    }
    isFlushing = false;
  };

  const enqueue = (entry: AuditEntry): Promise<void> =>
    new Promise((resolve, reject) => {
      queue.push({ ...prepare(entry), phase: entry.phase, resolve, reject });
      if (!isFlushing) void flush();
    });

  const later = (entry: AuditEntry) => {
    if (late.length >= MAX_LATE) {
      log.error({ entry }, 'an audit record is lost: too many wait to be written');
      return;
    }
    late.push({ ...entry, durationMs: entry.durationMs ?? null });
    counts.late += 1;
  };

  /** Whether it works is only known when it is tried. */
  const canRecord = async (): Promise<boolean> => {
    try {
      await gate('intent');
      // A small change of a row that is there may still fit where a record does not.
      await enqueue(systemEntry('audit.probe', { trouble }));
      trouble = null;
      return true;
    } catch (error) {
      unavailable(toAppError(error));
      return false;
    }
  };

  return {
    canRecord,
    async write(tx, entry) {
      const prepared = prepare(entry);
      try {
        await gate(entry.phase);
        await append(tx, prepared);
      } catch (error) {
        throw unavailable(error);
      }
    },
    async record(entry) {
      const key = keyOf(entry);
      const hasIntent = key !== null && open.has(key);
      const isRefusal = entry.phase === 'outcome' && (entry.outcome === 'denied' || entry.outcome === 'invalid');
      if (isRefusal && hasIntent && isSignIn(entry)) fold.note(entry);
      else if (isRefusal && !hasIntent && !fold.take(entry)) {
        counts.refused += 1;
        return;
      }
      try {
        await enqueue(entry);
      } catch (error) {
        const problem = unavailable(error);
        // It is done: saying that it is not would be a lie. It is recorded when that works again.
        if (entry.phase === 'outcome' && hasIntent) later(entry);
        else throw problem;
      }
    },
    later,
    adopt: (tx, view) => append(tx, { view, tail: bodyTail(view, { boot: 'before', mono: 0 }) }),
    head,
    get trouble() {
      return trouble;
    },
    isOpen: (id) => open.has(id),
    async tick() {
      for (const entry of fold.ripe()) later(entry);
      while (late.length > 0) {
        const first = late[0];
        if (first === undefined) return;
        try {
          await enqueue(first);
          late.shift();
        } catch (error) {
          unavailable(toAppError(error));
          return;
        }
      }
      if (trouble !== null && (await canRecord())) log.info({}, 'recording works again');
    },
    counts,
  };
}
