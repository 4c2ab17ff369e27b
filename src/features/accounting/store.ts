/** What accounting keeps: hours by month, project and user; and what was known at the last tick, to go on from there after a crash. */

import type { Database, Migration } from '#platform/db/database.ts';
import type { Bucket, Sample } from './meter.ts';

export const accountingMigrations: readonly Migration[] = [
  {
    id: '001-accounting',
    statements: [
      `CREATE TABLE usage(
         month TEXT NOT NULL, project_id TEXT NOT NULL, owner TEXT NOT NULL, vcpu_hours REAL NOT NULL, memory_gib_hours REAL NOT NULL,
         disk_gib_hours REAL NOT NULL, backup_gib_hours REAL NOT NULL, PRIMARY KEY(project_id, month, owner)) STRICT`,
      `CREATE TABLE usage_sample(
         object_id TEXT PRIMARY KEY, project_id TEXT NOT NULL, owner TEXT, is_on INTEGER NOT NULL, vcpus INTEGER NOT NULL,
         memory_bytes INTEGER NOT NULL, disk_bytes INTEGER NOT NULL, backup_bytes INTEGER NOT NULL, run_started_boot_ms REAL) STRICT`,
      `CREATE TABLE usage_mark(
         id INTEGER PRIMARY KEY CHECK(id = 1), boot_id TEXT, boot_ms REAL, wall_ms REAL NOT NULL) STRICT`,
    ],
  },
];

/** When the last tick was, by the clock that counts since the host booted and by the wall. */
export interface Mark {
  /** Null where the host does not tell. */
  readonly boot: { readonly id: string; readonly ms: number } | null;
  readonly wallMs: number;
}

interface AccountingTables {
  usage: {
    month: string;
    project_id: string;
    /** Empty = nobody's. */
    owner: string;
    vcpu_hours: number;
    memory_gib_hours: number;
    disk_gib_hours: number;
    backup_gib_hours: number;
  };
  usage_sample: {
    object_id: string;
    project_id: string;
    owner: string | null;
    is_on: number;
    vcpus: number;
    memory_bytes: number;
    disk_bytes: number;
    backup_bytes: number;
    run_started_boot_ms: number | null;
  };
  usage_mark: { id: 1; boot_id: string | null; boot_ms: number | null; wall_ms: number };
}

export interface AccountingStore {
  load(): Promise<{ readonly mark: Mark | null; readonly samples: readonly Sample[] }>;
  /** Adds the hours and keeps what is known, in one transaction. */
  save(buckets: readonly Bucket[], samples: readonly Sample[], mark: Mark): Promise<void>;
  /** Hours of a project from this month on, newest month first. */
  usage(project: string, fromMonth: string, toMonth: string): Promise<readonly Bucket[]>;
}

export function createAccountingStore(db: Database): AccountingStore {
  /** As they lie in the table, so that a tick writes only what changed. */
  const kept = new Map<string, Sample>();

  return {
    async load() {
      const at = db.tables<AccountingTables>();
      const mark = await at.selectFrom('usage_mark').selectAll().executeTakeFirst();
      for (const row of await at.selectFrom('usage_sample').selectAll().execute())
        kept.set(row.object_id, {
          objectId: row.object_id,
          project: row.project_id,
          owner: row.owner,
          isOn: row.is_on === 1,
          vcpus: row.vcpus,
          memoryBytes: row.memory_bytes,
          diskBytes: row.disk_bytes,
          backupBytes: row.backup_bytes,
          runStartedBootMs: row.run_started_boot_ms,
        });
      const boot =
        mark === undefined || mark.boot_id === null || mark.boot_ms === null
          ? null
          : { id: mark.boot_id, ms: mark.boot_ms };
      return { mark: mark ? { boot, wallMs: mark.wall_ms } : null, samples: [...kept.values()] };
    },

    async save(buckets, samples, mark) {
      const now = new Map(samples.map((sample) => [sample.objectId, sample]));
      const gone = [...kept.keys()].filter((objectId) => !now.has(objectId));
      const changed = samples.filter((sample) => !isSame(kept.get(sample.objectId), sample));
      await db.transaction(async (tx) => {
        const at = tx.tables<AccountingTables>();
        for (const { month, project, owner, ...amounts } of buckets)
          await at
            .insertInto('usage')
            .values({
              month,
              project_id: project,
              owner: owner ?? '',
              vcpu_hours: amounts.vcpuHours,
              memory_gib_hours: amounts.memoryGibHours,
              disk_gib_hours: amounts.diskGibHours,
              backup_gib_hours: amounts.backupGibHours,
            })
            .onConflict((conflict) =>
              conflict.columns(['project_id', 'month', 'owner']).doUpdateSet((is) => ({
                vcpu_hours: is('usage.vcpu_hours', '+', amounts.vcpuHours),
                memory_gib_hours: is('usage.memory_gib_hours', '+', amounts.memoryGibHours),
                disk_gib_hours: is('usage.disk_gib_hours', '+', amounts.diskGibHours),
                backup_gib_hours: is('usage.backup_gib_hours', '+', amounts.backupGibHours),
              })),
            )
            .execute();
        for (const sample of changed) {
          const values = {
            project_id: sample.project,
            owner: sample.owner,
            is_on: Number(sample.isOn),
            vcpus: sample.vcpus,
            memory_bytes: sample.memoryBytes,
            disk_bytes: sample.diskBytes,
            backup_bytes: sample.backupBytes,
            run_started_boot_ms: sample.runStartedBootMs,
          };
          await at
            .insertInto('usage_sample')
            .values({ object_id: sample.objectId, ...values })
            .onConflict((conflict) => conflict.column('object_id').doUpdateSet(values))
            .execute();
        }
        for (const objectId of gone) await at.deleteFrom('usage_sample').where('object_id', '=', objectId).execute();
        const values = { boot_id: mark.boot?.id ?? null, boot_ms: mark.boot?.ms ?? null, wall_ms: mark.wallMs };
        await at
          .insertInto('usage_mark')
          .values({ id: 1, ...values })
          .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
          .execute();
      });
      for (const sample of changed) kept.set(sample.objectId, sample);
      for (const objectId of gone) kept.delete(objectId);
    },

    async usage(project, fromMonth, toMonth) {
      const rows = await db
        .tables<AccountingTables>()
        .selectFrom('usage')
        .selectAll()
        .where('project_id', '=', project)
        .where('month', '>=', fromMonth)
        .where('month', '<=', toMonth)
        .orderBy('month', 'desc')
        .orderBy('owner')
        .execute();
      return rows.map((row) => ({
        month: row.month,
        project: row.project_id,
        owner: row.owner === '' ? null : row.owner,
        vcpuHours: row.vcpu_hours,
        memoryGibHours: row.memory_gib_hours,
        diskGibHours: row.disk_gib_hours,
        backupGibHours: row.backup_gib_hours,
      }));
    },
  };
}

export function isSame(one: Sample | undefined, other: Sample): boolean {
  return (
    one !== undefined &&
    one.project === other.project &&
    one.owner === other.owner &&
    one.isOn === other.isOn &&
    one.vcpus === other.vcpus &&
    one.memoryBytes === other.memoryBytes &&
    one.diskBytes === other.diskBytes &&
    one.backupBytes === other.backupBytes &&
    one.runStartedBootMs === other.runStartedBootMs
  );
}
