/** SQL of the journal, and the view of an operation that users see. */

import { type ExpressionBuilder, sql } from 'kysely';
import {
  FINAL_STATES,
  MAX_TIMELINE_ITEMS,
  type Operation,
  type OperationState,
  type TimelineItem,
} from '#contract/operations.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { Identity } from '#platform/feature.ts';

export type StepState = Operation['steps'][number]['state'];

export interface OperationRow {
  id: string;
  kind: string;
  title: string;
  actor: string;
  via: Identity['via'];
  user_id: string;
  token_id: string | null;
  project: string | null;
  object_type: string | null;
  object_id: string | null;
  object_name: string | null;
  /** The VM that it is about, whatever its object is. */
  vm_id: string | null;
  input: string;
  memory: string;
  state: OperationState;
  step: number;
  attempt: number;
  cancel_asked: number;
  error: string | null;
  result: string | null;
  action: string;
  request_id: string | null;
  created_at: string;
  finished_at: string | null;
  dismissed: number;
}

interface StepRow {
  op_id: string;
  n: number;
  name: string;
  title: string;
  state: StepState;
}

export interface OperationTables {
  operation: OperationRow;
  op_step: StepRow;
  op_lock: { key: string; op_id: string; mode: 'exclusive' | 'shared' };
  idempotency: { actor: string; key: string; request_hash: string; op_id: string; expires_at: string };
}

const OPEN: readonly OperationState[] = ['pending', 'running', 'compensating'];
/** Finished operations are kept this long. */
const KEPT_DAYS = 90;

/** A row with its steps as users see it; `live` adds what only the running process knows. */
export function viewOf(
  row: OperationRow,
  steps: readonly Pick<StepRow, 'name' | 'title' | 'state'>[],
  live?: { progress: Operation['progress'] },
): Operation {
  return {
    id: row.id,
    kind: row.kind,
    title: row.title,
    state: row.state,
    actor: row.actor,
    objectType: row.object_type,
    objectId: row.object_id,
    objectName: row.object_name,
    vmId: row.vm_id,
    project: row.project,
    steps: steps.map(({ name, title, state }) => ({ name, title, state })),
    progress: live?.progress ?? null,
    canCancel: (row.state === 'pending' || row.state === 'running') && row.cancel_asked === 0,
    isDismissed: row.dismissed === 1,
    error: row.error === null ? null : JSON.parse(row.error),
    result: row.result === null ? null : JSON.parse(row.result),
    createdAt: row.created_at,
    finishedAt: row.finished_at,
    requestId: row.request_id,
  };
}

/** What an operation holds while it is open; the same key is never in both. */
export interface LockKeys {
  readonly exclusive: readonly string[];
  readonly shared: readonly string[];
}

export interface OperationQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly state?: OperationState | undefined;
  readonly open?: boolean | undefined;
  readonly objectId?: string | undefined;
  /** Only those that somebody may see. */
  readonly of?: OperationReach;
  readonly kind?: string | undefined;
}

/** Of which projects and VMs; null = all. */
type OperationReach = { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;

const seenBy =
  ({ projects, vms }: NonNullable<OperationReach>) =>
  (is: ExpressionBuilder<OperationTables, 'operation'>) =>
    is.or([is('project', 'in', projects), is('vm_id', 'in', vms)]);

/** Times as they are stored: ISO 8601 in UTC with milliseconds. */
export interface TimelineQuery {
  readonly vm?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly of: OperationReach;
}

export type OperationStore = ReturnType<typeof createOperationStore>;

export function createOperationStore(db: Database) {
  const tables = () => db.tables<OperationTables>();
  const stepsOf = (ids: readonly string[]) =>
    ids.length === 0
      ? Promise.resolve([])
      : tables().selectFrom('op_step').selectAll().where('op_id', 'in', ids).orderBy('n').execute();

  const views = async (rows: readonly OperationRow[]): Promise<Operation[]> => {
    const steps = await stepsOf(rows.map((row) => row.id));
    return rows.map((row) =>
      viewOf(
        row,
        steps.filter((step) => step.op_id === row.id),
      ),
    );
  };

  return {
    async insert(
      tx: Transaction,
      row: OperationRow,
      steps: readonly { name: string; title: string }[],
      locks: LockKeys,
    ): Promise<void> {
      const at = tx.tables<OperationTables>();
      await at.insertInto('operation').values(row).execute();
      if (steps.length > 0) {
        await at
          .insertInto('op_step')
          .values(
            steps.map((step, n) => ({
              op_id: row.id,
              n,
              name: step.name,
              title: step.title,
              state: 'pending' as const,
            })),
          )
          .execute();
      }
      for (const mode of ['exclusive', 'shared'] as const)
        for (const key of locks[mode]) await at.insertInto('op_lock').values({ key, op_id: row.id, mode }).execute();
    },
    /** An open operation that stands in the way of these keys. */
    lockHolder: (tx: Transaction, { exclusive, shared }: LockKeys) =>
      tx
        .tables<OperationTables>()
        .selectFrom('op_lock')
        .innerJoin('operation', 'operation.id', 'op_lock.op_id')
        .select([
          'operation.id',
          'operation.title',
          'operation.state',
          'operation.project',
          'operation.object_type',
          'operation.object_id',
        ])
        .where((is) =>
          is.or([
            is('op_lock.key', 'in', exclusive),
            is.and([is('op_lock.key', 'in', shared), is('op_lock.mode', '=', 'exclusive')]),
          ]),
        )
        .executeTakeFirst(),
    idempotent: (tx: Transaction, actor: string, key: string) =>
      tx
        .tables<OperationTables>()
        .selectFrom('idempotency')
        .selectAll()
        .where('actor', '=', actor)
        .where('key', '=', key)
        .executeTakeFirst(),
    rememberKey: (tx: Transaction, entry: OperationTables['idempotency']) =>
      tx
        .tables<OperationTables>()
        .insertInto('idempotency')
        .values(entry)
        // A key that has expired may be used anew.
        .onConflict((conflict) => conflict.columns(['actor', 'key']).doUpdateSet(entry))
        .execute(),
    update: (tx: Transaction | Database, id: string, values: Partial<OperationRow>) =>
      tx.tables<OperationTables>().updateTable('operation').set(values).where('id', '=', id).execute(),
    setStep: (tx: Transaction | Database, id: string, n: number, state: StepState) =>
      tx
        .tables<OperationTables>()
        .updateTable('op_step')
        .set({ state })
        .where('op_id', '=', id)
        .where('n', '=', n)
        .execute(),
    releaseLocks: (tx: Transaction, id: string) =>
      tx.tables<OperationTables>().deleteFrom('op_lock').where('op_id', '=', id).execute(),
    row: (id: string) => tables().selectFrom('operation').selectAll().where('id', '=', id).executeTakeFirst(),
    async get(id: string): Promise<Operation | null> {
      const row = await tables().selectFrom('operation').selectAll().where('id', '=', id).executeTakeFirst();
      return row ? ((await views([row]))[0] ?? null) : null;
    },
    unfinished: () =>
      tables().selectFrom('operation').selectAll().where('state', 'in', OPEN).orderBy('created_at').execute(),
    /** Takes an operation out of `attention` to undo it again. @returns false when somebody else did, or it is not there */
    async claimAttention(id: string): Promise<boolean> {
      const { numUpdatedRows } = await tables()
        .updateTable('operation')
        .set({ state: 'compensating' })
        .where('id', '=', id)
        .where('state', '=', 'attention')
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    },
    needingAttention: () => tables().selectFrom('operation').selectAll().where('state', '=', 'attention').execute(),
    async list(query: OperationQuery): Promise<{ items: Operation[]; next: string | null; total: number }> {
      let filtered = tables().selectFrom('operation');
      if (query.state) filtered = filtered.where('state', '=', query.state);
      if (query.open) filtered = filtered.where('state', 'not in', FINAL_STATES);
      if (query.objectId) filtered = filtered.where('object_id', '=', query.objectId);
      if (query.of) filtered = filtered.where(seenBy(query.of));
      if (query.kind) filtered = filtered.where('kind', '=', query.kind);
      const { total } = await filtered.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
      const page = query.cursor ? filtered.where('id', '<', query.cursor) : filtered;
      const rows = await page
        .selectAll()
        .orderBy('id', 'desc')
        .limit(query.limit + 1)
        .execute();
      const items = rows.slice(0, query.limit);
      return { items: await views(items), next: rows.length > query.limit ? (items.at(-1)?.id ?? null) : null, total };
    },
    async timeline({ vm, from, to, of }: TimelineQuery): Promise<{ items: TimelineItem[]; total: number }> {
      let filtered = tables().selectFrom('operation');
      if (vm !== undefined) filtered = filtered.where('vm_id', '=', vm);
      if (from !== undefined)
        filtered = filtered.where((is) => is.or([is('finished_at', 'is', null), is('finished_at', '>=', from)]));
      if (to !== undefined) filtered = filtered.where('created_at', '<=', to);
      if (of) filtered = filtered.where(seenBy(of));
      const { total } = await filtered.select((eb) => eb.fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
      const items = await filtered
        .select([
          'id',
          'kind',
          'title',
          'state',
          'actor',
          'object_type as objectType',
          'object_id as objectId',
          'vm_id as vmId',
          'project',
          'created_at as createdAt',
          'finished_at as finishedAt',
          sql<string | null>`result ->> '$.verdict'`.as('verdict'),
        ])
        .orderBy('id', 'desc')
        .limit(MAX_TIMELINE_ITEMS)
        .execute();
      return { items, total };
    },
    /** Removes what nobody needs any more: old finished operations and spent idempotency keys. */
    async prune(now: Date): Promise<void> {
      const limit = new Date(now.getTime() - KEPT_DAYS * 86_400_000).toISOString();
      await db.transaction(async (tx) => {
        await tx
          .tables<OperationTables>()
          .deleteFrom('operation')
          .where('state', 'in', FINAL_STATES)
          .where('finished_at', '<', limit)
          .execute();
        await tx
          .tables<OperationTables>()
          .deleteFrom('idempotency')
          .where('expires_at', '<', now.toISOString())
          .execute();
      });
    },
  };
}
