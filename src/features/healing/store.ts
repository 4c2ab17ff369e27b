/** What healing remembers: modes, cases, history. In memory for the planner, in the database for the next life of hyperd; the database
 *  first, so that nothing is done that a crash would forget. */

import type { HealingAct, HealingActionId, HealingMode } from '#contract/healing.ts';
import { healingFacts } from '#contract/healing.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import type { ActRow, CaseRow, HealingTables } from './migrations.ts';

/** One thing of which something is wrong, or lately was. */
export interface Case {
  readonly action: HealingActionId;
  readonly objectId: string;
  readonly openedMs: number | null;
  /** Before this nothing is done. */
  readonly nextMs: number;
  readonly endedBy: CaseRow['ended_by'];
  readonly heldBy: string | null;
  /** When something was done about it in the last hour. */
  readonly actsMs: readonly number[];
}

/** Older ones are forgotten. */
const KEPT_ACTS = 10_000;

export interface HealingStore {
  load(): Promise<void>;
  mode(action: HealingActionId): HealingMode;
  /** The VM's own; null = none. */
  vmMode(action: HealingActionId, vmId: string): { readonly mode: HealingMode; readonly sinceMs: number } | null;
  /** What holds for a thing: off for all is off for each. @param vmId null for what is no VM */
  effective(action: HealingActionId, vmId: string | null): HealingMode;
  vmsWith(action: HealingActionId): readonly { readonly vmId: string; readonly mode: HealingMode }[];
  /** @param vmId '' for all @param mode null takes it away */
  setMode(action: HealingActionId, vmId: string, mode: HealingMode | null, nowMs: number): Promise<void>;
  case(action: HealingActionId, objectId: string): Case | null;
  cases(): readonly Case[];
  putCase(tx: Transaction, value: Case): Promise<void>;
  dropCase(tx: Transaction, value: Case): Promise<void>;
  addAct(tx: Transaction, row: ActRow): Promise<void>;
  settleAct(tx: Transaction, id: string, values: Pick<ActRow, 'result' | 'text' | 'operation_id'>): Promise<void>;
  /** Those that were begun and of which the end is not written down. */
  begun(): Promise<readonly ActRow[]>;
  /** When something was last done, or would have been. */
  lastActMs(action: HealingActionId, objectId: string): number | null;
}

const keyOf = (action: string, id: string) => `${action} ${id}`;
const DID: readonly ActRow['result'][] = ['begun', 'done', 'failed', 'would_have'];

export function createHealingStore(db: Database): HealingStore {
  const modes = new Map<string, { readonly mode: HealingMode; readonly sinceMs: number }>();
  const cases = new Map<string, Case>();
  const lastActs = new Map<string, number>();
  const tables = (source: Database | Transaction) => source.tables<HealingTables>();

  const store: HealingStore = {
    async load() {
      for (const row of await tables(db).selectFrom('heal_mode').selectAll().execute())
        modes.set(keyOf(row.action, row.vm_id), { mode: row.mode, sinceMs: row.since_ms });
      for (const row of await tables(db).selectFrom('heal_case').selectAll().execute())
        cases.set(keyOf(row.action, row.object_id), {
          action: row.action,
          objectId: row.object_id,
          openedMs: row.opened_ms,
          nextMs: row.next_ms,
          endedBy: row.ended_by,
          heldBy: row.held_by,
          actsMs: JSON.parse(row.acts_ms),
        });
      const last = await tables(db)
        .selectFrom('heal_act')
        .select((of) => ['action', 'object_id', of.fn.max('steady_ms').as('last_ms')])
        .where('result', 'in', DID)
        .groupBy(['action', 'object_id'])
        .execute();
      for (const row of last) lastActs.set(keyOf(row.action, row.object_id), Number(row.last_ms));
    },
    mode: (action) => modes.get(keyOf(action, ''))?.mode ?? healingFacts(action).defaultMode,
    vmMode: (action, vmId) => modes.get(keyOf(action, vmId)) ?? null,
    effective(action, vmId) {
      const all = store.mode(action);
      const { perVm, isOptIn } = healingFacts(action);
      if (all === 'off' || vmId === null || !perVm) return all;
      return store.vmMode(action, vmId)?.mode ?? (isOptIn ? 'off' : all);
    },
    vmsWith: (action) =>
      [...modes].flatMap(([key, { mode }]) => {
        const [of = '', vmId = ''] = key.split(' ');
        return of === action && vmId !== '' ? [{ vmId, mode }] : [];
      }),
    async setMode(action, vmId, mode, nowMs) {
      const again = [...cases.values()].filter(
        (one) => one.action === action && (vmId === '' || one.objectId === vmId) && one.endedBy === 'observed',
      );
      await db.transaction(async (tx) => {
        await tables(tx).deleteFrom('heal_mode').where('action', '=', action).where('vm_id', '=', vmId).execute();
        if (mode !== null)
          await tables(tx).insertInto('heal_mode').values({ action, vm_id: vmId, mode, since_ms: nowMs }).execute();
        // What was only observed is looked at by the new mode.
        for (const one of again) await store.putCase(tx, { ...one, endedBy: null });
      });
      if (mode === null) modes.delete(keyOf(action, vmId));
      else modes.set(keyOf(action, vmId), { mode, sinceMs: nowMs });
    },
    case: (action, objectId) => cases.get(keyOf(action, objectId)) ?? null,
    cases: () => [...cases.values()],
    async putCase(tx, value) {
      const values = {
        opened_ms: value.openedMs,
        next_ms: value.nextMs,
        ended_by: value.endedBy,
        held_by: value.heldBy,
        acts_ms: JSON.stringify(value.actsMs),
      };
      await tables(tx)
        .insertInto('heal_case')
        .values({ action: value.action, object_id: value.objectId, ...values })
        .onConflict((conflict) => conflict.columns(['action', 'object_id']).doUpdateSet(values))
        .execute();
      tx.afterCommit(() => void cases.set(keyOf(value.action, value.objectId), value));
    },
    async dropCase(tx, { action, objectId }) {
      await tables(tx).deleteFrom('heal_case').where('action', '=', action).where('object_id', '=', objectId).execute();
      tx.afterCommit(() => void cases.delete(keyOf(action, objectId)));
    },
    async addAct(tx, row) {
      await tables(tx).insertInto('heal_act').values(row).execute();
      await tables(tx)
        .deleteFrom('heal_act')
        .where('n', '<=', (of) => of.selectFrom('heal_act').select('n').orderBy('n', 'desc').limit(1).offset(KEPT_ACTS))
        .execute();
      if (DID.includes(row.result))
        tx.afterCommit(() => void lastActs.set(keyOf(row.action, row.object_id), row.steady_ms));
    },
    async settleAct(tx, id, values) {
      await tables(tx).updateTable('heal_act').set(values).where('id', '=', id).execute();
    },
    begun: () => tables(db).selectFrom('heal_act').selectAll().where('result', '=', 'begun').orderBy('n').execute(),
    lastActMs: (action, objectId) => lastActs.get(keyOf(action, objectId)) ?? null,
  };
  return store;
}

/** Which acts somebody may see. */
export interface ActReach {
  /** Null = all VMs. */
  readonly of: { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;
  /** Those of pools and file systems too. */
  readonly ofHost: boolean;
}

export interface ActQuery {
  readonly action?: HealingActionId | undefined;
  readonly object?: string | undefined;
  readonly result?: HealingAct['result'] | undefined;
  readonly before?: string | undefined;
  readonly limit: number;
}

/** Newest first. */
export async function listActs(db: Database, { of, ofHost }: ActReach, query: ActQuery): Promise<ActRow[]> {
  const { action, object, result, before } = query;
  let select = db.tables<HealingTables>().selectFrom('heal_act').selectAll().orderBy('n', 'desc').limit(query.limit);
  if (!ofHost) select = select.where('object_type', '=', 'vm');
  if (of !== null)
    select = select.where((where) =>
      where.or([
        where('object_type', '!=', 'vm'),
        where('project', 'in', [...of.projects, '']),
        where('object_id', 'in', [...of.vms, '']),
      ]),
    );
  if (action !== undefined) select = select.where('action', '=', action);
  if (result !== undefined) select = select.where('result', '=', result);
  if (before !== undefined)
    select = select.where('n', '<', (of) => of.selectFrom('heal_act').select('n').where('id', '=', before));
  if (object !== undefined)
    select = select.where((where) => where.or([where('object_id', '=', object), where('object_name', '=', object)]));
  return select.execute();
}

export const actView = (row: ActRow): HealingAct => ({
  id: row.id,
  at: row.at,
  action: row.action,
  objectType: row.object_type,
  objectId: row.object_id,
  objectName: row.object_name,
  project: row.project,
  result: row.result,
  text: row.text,
  operationId: row.operation_id,
});
