/** What runs of schedules did: one row for a run, one for each VM that it was to back up. */

import type { BackupRound, RoundReport, RoundVm } from '#contract/protection.ts';
import type { Database } from '#platform/db/database.ts';
import type { ProtectionTables, RoundRow, RoundVmRow } from '../migrations.ts';

/** So many runs of each schedule are kept. */
const KEPT_ROUNDS = 200;

export type NewRound = Pick<RoundRow, 'id' | 'schedule_id' | 'schedule_name' | 'due_at' | 'began_at'>;

export interface RoundQuery {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly scheduleId?: string | undefined;
}

export interface RoundStore {
  /** Writes a run down with its VMs, all of them waiting. A second time is nothing. */
  open(
    round: NewRound,
    vms: readonly { readonly id: string; readonly name: string; readonly project: string }[],
  ): Promise<void>;
  /** Writes down a run that was not begun. */
  skipped(round: NewRound, why: string): Promise<void>;
  /** Of one run, in the order of the run. */
  vms(roundId: string): Promise<readonly RoundVmRow[]>;
  setVm(roundId: string, vmId: string, values: Partial<RoundVmRow>): Promise<void>;
  /** Whoever waits is not reached any more. */
  leaveOut(roundId: string, why: string): Promise<void>;
  close(roundId: string, values: Pick<RoundRow, 'state' | 'note' | 'ended_at'>): Promise<void>;
  row(roundId: string): Promise<RoundRow | null>;
  list(
    query: RoundQuery,
  ): Promise<{ readonly rows: readonly RoundRow[]; readonly next: string | null; readonly total: number }>;
  /** The newest run of each schedule that was begun. */
  newest(scheduleIds: readonly string[]): Promise<ReadonlyMap<string, RoundRow>>;
}

export function createRoundStore(db: Database): RoundStore {
  const tables = () => db.tables<ProtectionTables>();
  const insert = (round: NewRound, rest: Pick<RoundRow, 'state' | 'note' | 'ended_at'>, vms: readonly RoundVmRow[]) =>
    db.transaction(async (tx) => {
      const at = tx.tables<ProtectionTables>();
      const { numInsertedOrUpdatedRows } = await at
        .insertInto('backup_round')
        .values({ ...round, ...rest })
        .onConflict((conflict) => conflict.column('id').doNothing())
        .executeTakeFirst();
      if (numInsertedOrUpdatedRows === 0n) return;
      for (const vm of vms) await at.insertInto('backup_round_vm').values(vm).execute();
      const oldest = await at
        .selectFrom('backup_round')
        .select('id')
        .where('schedule_id', '=', round.schedule_id)
        .orderBy('id', 'desc')
        .offset(KEPT_ROUNDS)
        .limit(1)
        .executeTakeFirst();
      if (oldest)
        await at
          .deleteFrom('backup_round')
          .where('schedule_id', '=', round.schedule_id)
          .where('id', '<=', oldest.id)
          .execute();
    });

  return {
    open: (round, vms) =>
      insert(
        round,
        { state: 'running', note: null, ended_at: null },
        vms.map(({ id, name, project }, n) => ({
          round_id: round.id,
          vm_id: id,
          vm_name: name,
          project,
          n,
          state: 'waiting',
          detail: null,
          operation_id: null,
          point_id: null,
          began_at: null,
          ended_at: null,
        })),
      ),
    skipped: (round, why) => insert(round, { state: 'skipped', note: why, ended_at: round.began_at }, []),
    vms: (roundId) =>
      tables().selectFrom('backup_round_vm').selectAll().where('round_id', '=', roundId).orderBy('n').execute(),
    async setVm(roundId, vmId, values) {
      await tables()
        .updateTable('backup_round_vm')
        .set(values)
        .where('round_id', '=', roundId)
        .where('vm_id', '=', vmId)
        .execute();
    },
    async leaveOut(roundId, why) {
      await tables()
        .updateTable('backup_round_vm')
        .set({ state: 'not_reached', detail: why })
        .where('round_id', '=', roundId)
        .where('state', '=', 'waiting')
        .execute();
    },
    async close(roundId, values) {
      await tables().updateTable('backup_round').set(values).where('id', '=', roundId).execute();
    },
    row: async (roundId) =>
      (await tables().selectFrom('backup_round').selectAll().where('id', '=', roundId).executeTakeFirst()) ?? null,
    async list({ limit, cursor, scheduleId }) {
      let query = tables().selectFrom('backup_round');
      if (scheduleId !== undefined) query = query.where('schedule_id', '=', scheduleId);
      const { total } = await query.select((of) => of.fn.countAll<number>().as('total')).executeTakeFirstOrThrow();
      if (cursor !== undefined) query = query.where('id', '<', cursor);
      const rows = await query
        .selectAll()
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute();
      const shown = rows.slice(0, limit);
      return { rows: shown, next: rows.length > limit ? (shown.at(-1)?.id ?? null) : null, total: Number(total) };
    },
    async newest(scheduleIds) {
      const found = new Map<string, RoundRow>();
      for (const id of scheduleIds) {
        const row = await tables()
          .selectFrom('backup_round')
          .selectAll()
          .where('schedule_id', '=', id)
          .where('state', '!=', 'skipped')
          .orderBy('id', 'desc')
          .limit(1)
          .executeTakeFirst();
        if (row) found.set(id, row);
      }
      return found;
    },
  };
}

export function roundView(row: RoundRow, vms: readonly RoundVmRow[]): BackupRound {
  const count = (...states: readonly RoundVmRow['state'][]) => vms.filter(({ state }) => states.includes(state)).length;
  return {
    id: row.id,
    scheduleId: row.schedule_id,
    scheduleName: row.schedule_name,
    dueAt: row.due_at,
    beganAt: row.began_at,
    endedAt: row.ended_at,
    state: row.state,
    note: row.note,
    counts: {
      all: vms.length,
      done: count('done'),
      failed: count('failed'),
      notReached: count('not_reached', 'gone'),
      open: count('waiting', 'running'),
    },
  };
}

const vmView = (row: RoundVmRow): RoundVm => ({
  vmId: row.vm_id,
  vmName: row.vm_name,
  project: row.project,
  state: row.state,
  detail: row.detail,
  operationId: row.operation_id,
  pointId: row.point_id,
  beganAt: row.began_at,
  endedAt: row.ended_at,
});

export const reportView = (row: RoundRow, vms: readonly RoundVmRow[]): RoundReport => ({
  ...roundView(row, vms),
  vms: vms.map(vmView),
});
