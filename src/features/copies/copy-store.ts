/** What is known of copies, in memory and in the database. */

import { retentionSchema } from '#contract/protection.ts';
import type { RetentionPolicy } from '#features/protection/index.ts';
import type { Database } from '#platform/db/database.ts';
import type { CopyPointRow, CopyRow, CopyTables } from './migrations.ts';

export interface Copy {
  readonly repositoryId: string;
  readonly sourceId: string;
  readonly isEnabled: boolean;
  readonly retention: RetentionPolicy | null;
  readonly timeZone: string;
  readonly bytesPerSecond: number | null;
  readonly lastAt: string | null;
  readonly succeededAt: string | null;
  readonly problem: string | null;
  readonly failures: number;
  /** The states of hosts are copied too. */
  readonly takesStates: boolean;
}

export type CopiedPoint = Omit<CopyPointRow, 'repository_id'>;

export interface CopyStore {
  load(): Promise<void>;
  all(): readonly Copy[];
  find(repositoryId: string): Copy | null;
  points(repositoryId: string): readonly CopiedPoint[];
  put(copy: Copy): Promise<void>;
  putPoint(repositoryId: string, point: CopiedPoint): Promise<void>;
  removePoints(repositoryId: string, pointIds: readonly string[]): Promise<void>;
  /** The repository is not there any more, and its rows neither. */
  forget(repositoryId: string): void;
}

export function createCopyStore(db: Database): CopyStore {
  const copies = new Map<string, Copy>();
  const points = new Map<string, Map<string, CopiedPoint>>();
  const tables = () => db.tables<CopyTables>();
  const pointsOf = (id: string) => {
    const known = points.get(id) ?? new Map<string, CopiedPoint>();
    points.set(id, known);
    return known;
  };
  return {
    async load() {
      copies.clear();
      points.clear();
      for (const row of await tables().selectFrom('backup_copy').selectAll().execute())
        copies.set(row.repository_id, copyOf(row));
      for (const { repository_id, ...row } of await tables().selectFrom('backup_copy_point').selectAll().execute())
        pointsOf(repository_id).set(row.point_id, row);
    },
    all: () => [...copies.values()],
    find: (id) => copies.get(id) ?? null,
    points: (id) => [...pointsOf(id).values()],
    async put(copy) {
      const row = rowOf(copy);
      await tables()
        .insertInto('backup_copy')
        .values(row)
        .onConflict((conflict) => conflict.column('repository_id').doUpdateSet(row))
        .execute();
      copies.set(copy.repositoryId, copy);
    },
    async putPoint(repositoryId, point) {
      const row = { repository_id: repositoryId, ...point };
      await tables()
        .insertInto('backup_copy_point')
        .values(row)
        .onConflict((conflict) => conflict.columns(['repository_id', 'point_id']).doUpdateSet(row))
        .execute();
      pointsOf(repositoryId).set(point.point_id, point);
    },
    async removePoints(repositoryId, pointIds) {
      for (const id of pointIds) {
        await tables()
          .deleteFrom('backup_copy_point')
          .where('repository_id', '=', repositoryId)
          .where('point_id', '=', id)
          .execute();
        pointsOf(repositoryId).delete(id);
      }
    },
    forget(repositoryId) {
      copies.delete(repositoryId);
      points.delete(repositoryId);
    },
  };
}

const copyOf = (row: CopyRow): Copy => ({
  repositoryId: row.repository_id,
  sourceId: row.source_id,
  isEnabled: row.is_enabled === 1,
  retention: row.retention === null ? null : retentionSchema.parse(JSON.parse(row.retention)),
  timeZone: row.time_zone,
  bytesPerSecond: row.bytes_per_second,
  lastAt: row.last_at,
  succeededAt: row.succeeded_at,
  problem: row.problem,
  failures: row.failures,
  takesStates: row.takes_states === 1,
});

const rowOf = (copy: Copy): CopyRow => ({
  repository_id: copy.repositoryId,
  source_id: copy.sourceId,
  is_enabled: copy.isEnabled ? 1 : 0,
  retention: copy.retention === null ? null : JSON.stringify(copy.retention),
  time_zone: copy.timeZone,
  bytes_per_second: copy.bytesPerSecond,
  last_at: copy.lastAt,
  succeeded_at: copy.succeededAt,
  problem: copy.problem,
  failures: copy.failures,
  takes_states: copy.takesStates ? 1 : 0,
});
