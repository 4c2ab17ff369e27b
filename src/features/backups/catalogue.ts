/** What is known of restore points and of the disks that they were read from. */

import { sql } from 'kysely';
import type { RestorePoint } from '#contract/backups.ts';
import type { Database, Transaction } from '#platform/db/database.ts';
import { type BackupTables, type DiskRow, type PointRow, pointDetailSchema } from './tables.ts';

/** What is asked of all points at once, without waiting for the database. */
export interface KnownPoint {
  readonly id: string;
  /** That made it; what it holds of quotas is charged under its id. */
  readonly operationId: string;
  readonly repositoryId: string;
  readonly vmId: string;
  /** In the order of their making among those of the VM in this repository, whatever the clock said. */
  readonly seq: number;
  readonly vmName: string;
  readonly project: string;
  readonly newBytes: number;
  readonly storedBytes: number;
  /** The moment that it restores. */
  readonly pointInTime: string;
  readonly isGood: boolean;
  readonly consistency: PointRow['consistency'];
  /** Targets of hard disks that it does not hold. */
  readonly disksLeftOut: readonly string[];
}

export interface PointQuery {
  readonly vmIds?: readonly string[] | undefined;
  readonly repositoryId?: string | undefined;
  /** With those that this repository holds too, because it is the copy of theirs. */
  readonly copied?: readonly string[] | undefined;
  /** Only those of these projects and VMs; null = all. */
  readonly of: { readonly projects: readonly string[]; readonly vms: readonly string[] } | null;
}

export interface Catalogue {
  load(): Promise<void>;
  known(): readonly KnownPoint[];
  point(id: string): Promise<PointRow | null>;
  /** Newest first. */
  list(query: PointQuery, page: { readonly offset: number; readonly limit: number }): Promise<PointRow[]>;
  count(query: PointQuery): Promise<number>;
  /** The last one that was made. */
  newest(vmId: string, repositoryId: string): Promise<PointRow | null>;
  byOperation(operationId: string): Promise<PointRow | null>;
  /** Makes or replaces them. */
  put(tx: Transaction, rows: readonly PointRow[]): Promise<void>;
  /** What a copy still holds is listed there from then on. */
  remove(tx: Transaction, ids: readonly string[]): Promise<void>;
  disks(vmId: string, repositoryId: string): Promise<DiskRow[]>;
  /** All that is said of the disks of a VM in a repository. */
  putDisks(tx: Transaction, vmId: string, repositoryId: string, rows: readonly DiskRow[]): Promise<void>;
  setImages(vmId: string, repositoryId: string, images: ReadonlyMap<string, string | null>): Promise<void>;
  markDamaged(tx: Transaction, vmId: string, repositoryId: string, targets: readonly string[]): Promise<void>;
}

/** @param elsewhere a copy that holds a restore point, other than the repository it is listed in; null = none does */
export function createCatalogue(
  db: Database,
  elsewhere: (pointId: string, repositoryId: string) => string | null = () => null,
): Catalogue {
  const known = new Map<string, KnownPoint>();
  const tables = (source: Database | Transaction = db) => source.tables<BackupTables>();
  const short = (row: PointRow): KnownPoint => ({
    id: row.id,
    operationId: row.operation_id,
    repositoryId: row.repository_id,
    vmId: row.vm_id,
    seq: row.seq,
    vmName: row.vm_name,
    project: row.project,
    newBytes: row.new_bytes,
    storedBytes: row.stored_bytes,
    pointInTime: row.point_in_time,
    isGood: row.state === 'good',
    consistency: row.consistency,
    disksLeftOut: pointDetailSchema
      .parse(JSON.parse(row.detail))
      .skipped.flatMap(({ target, device }) => (device === 'disk' ? [target] : [])),
  });
  const asked = ({ vmIds, repositoryId, copied = [], of }: PointQuery) => {
    let query = tables().selectFrom('restore_point');
    if (vmIds !== undefined) query = query.where('vm_id', 'in', vmIds);
    if (repositoryId !== undefined)
      query = query.where((is) =>
        is.or([
          is('repository_id', '=', repositoryId),
          // One value, however many there are.
          sql<boolean>`id IN (SELECT value FROM json_each(${JSON.stringify(copied)}))`,
        ]),
      );
    if (of !== null) query = query.where((is) => is.or([is('project', 'in', of.projects), is('vm_id', 'in', of.vms)]));
    return query;
  };

  return {
    async load() {
      for (const row of await tables().selectFrom('restore_point').selectAll().execute()) known.set(row.id, short(row));
    },
    known: () => [...known.values()],
    async point(id) {
      return (await tables().selectFrom('restore_point').selectAll().where('id', '=', id).executeTakeFirst()) ?? null;
    },
    list: (query, { offset, limit }) =>
      asked(query)
        .selectAll()
        .orderBy('point_in_time', 'desc')
        .orderBy('id', 'desc')
        .offset(offset)
        .limit(limit)
        .execute(),
    async count(query) {
      const row = await asked(query)
        .select((of) => of.fn.countAll().as('n'))
        .executeTakeFirst();
      return Number(row?.n ?? 0);
    },
    async newest(vmId, repositoryId) {
      const row = await tables()
        .selectFrom('restore_point')
        .selectAll()
        .where('vm_id', '=', vmId)
        .where('repository_id', '=', repositoryId)
        .orderBy('seq', 'desc')
        .limit(1)
        .executeTakeFirst();
      return row ?? null;
    },
    async byOperation(operationId) {
      const row = await tables()
        .selectFrom('restore_point')
        .selectAll()
        .where('operation_id', '=', operationId)
        .executeTakeFirst();
      return row ?? null;
    },
    async put(tx, rows) {
      for (const row of rows) {
        await tables(tx).deleteFrom('restore_point').where('id', '=', row.id).execute();
        await tables(tx).insertInto('restore_point').values(row).execute();
      }
      tx.afterCommit(() => {
        for (const row of rows) known.set(row.id, short(row));
      });
    },
    async remove(tx, ids) {
      const moved = new Map<string, KnownPoint>();
      for (const id of ids) {
        const before = known.get(id);
        const repositoryId = before && elsewhere(id, before.repositoryId);
        if (before && repositoryId) {
          moved.set(id, { ...before, repositoryId });
          await tables(tx)
            .updateTable('restore_point')
            .set({ repository_id: repositoryId, state: 'good', problem: null })
            .where('id', '=', id)
            .execute();
        } else await tables(tx).deleteFrom('restore_point').where('id', '=', id).execute();
      }
      tx.afterCommit(() => {
        for (const id of ids) {
          const row = moved.get(id);
          if (row) known.set(id, { ...row, isGood: true });
          else known.delete(id);
        }
      });
    },
    disks: (vmId, repositoryId) =>
      tables()
        .selectFrom('backup_disk')
        .selectAll()
        .where('vm_id', '=', vmId)
        .where('repository_id', '=', repositoryId)
        .execute(),
    async putDisks(tx, vmId, repositoryId, rows) {
      await tables(tx)
        .deleteFrom('backup_disk')
        .where('vm_id', '=', vmId)
        .where('repository_id', '=', repositoryId)
        .execute();
      for (const row of rows) await tables(tx).insertInto('backup_disk').values(row).execute();
    },
    async setImages(vmId, repositoryId, images) {
      for (const [target, image] of images)
        await tables()
          .updateTable('backup_disk')
          .set({ image })
          .where('vm_id', '=', vmId)
          .where('repository_id', '=', repositoryId)
          .where('target', '=', target)
          .execute();
    },
    async markDamaged(tx, vmId, repositoryId, targets) {
      for (const target of targets)
        await tables(tx)
          .updateTable('backup_disk')
          .set({ is_damaged: 1 })
          .where('vm_id', '=', vmId)
          .where('repository_id', '=', repositoryId)
          .where('target', '=', target)
          .execute();
    },
  };
}

/** As the API shows it. */
export function pointView(
  row: PointRow,
  about: { readonly repositoryName: string; readonly isVmThere: boolean; readonly copies: string[] },
): RestorePoint {
  const detail = pointDetailSchema.parse(JSON.parse(row.detail));
  return {
    id: row.id,
    repositoryId: row.repository_id,
    repositoryName: about.repositoryName,
    vmId: row.vm_id,
    vmName: row.vm_name,
    project: row.project,
    isVmThere: about.isVmThere,
    copies: about.copies,
    state: row.state,
    problem: row.problem,
    pointInTime: row.point_in_time,
    finishedAt: row.finished_at,
    consistency: row.consistency,
    frozenMs: row.frozen_ms,
    sizeBytes: row.size_bytes,
    readBytes: row.read_bytes,
    storedBytes: row.stored_bytes,
    ...detail,
  };
}
