/** What we know of a VM beside libvirt: that we made it, what the user wants of it, whether it is protected. Kept in memory and in the
 *  table `vm`; a row lives as long as its domain or its place in the trash. */

import { z } from 'zod';
import { tagsSchema, type Vm } from '#contract/vms.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';
import { hashText } from './hash-text.ts';

export interface MovedAway {
  /** ISO 8601. */
  readonly at: string;
  /** Its name in libvirt, which says whose it is. */
  readonly domainName: string;
  /** As it was last defined here, without secrets. */
  readonly definition: string;
}

export interface VmRow {
  readonly uuid: string;
  readonly desired: Vm['desired'];
  readonly isProtected: boolean;
  /** Sorted, each once. */
  readonly tags: readonly string[];
  /** Made by us; a foreign VM has a row only once the user protected it or asked for a state. */
  readonly managed: boolean;
  /** ISO 8601, or null for a VM that was there before us. */
  readonly createdAt: string | null;
  /** The operation that made it. */
  readonly operationId: string | null;
  /** Another program moved it to another host; null again once it runs here. Its disks are in use there. */
  readonly moved: MovedAway | null;
}

const movedSchema = z.object({ at: z.string(), domainName: z.string(), definition: z.string() });

/** As a column of a table keeps it. */
export const movedToText = (moved: MovedAway | null): string | null => (moved === null ? null : JSON.stringify(moved));
export const movedFromText = (text: string | null): MovedAway | null =>
  text === null ? null : movedSchema.parse(JSON.parse(text));

interface VmTables {
  vm: {
    uuid: string;
    desired: Vm['desired'];
    is_protected: number;
    managed: number;
    created_at: string | null;
    op_id: string | null;
    definition: string | null;
    tags: string;
    moved: string | null;
  };
}

export const inventoryMigrations: readonly Migration[] = [
  {
    id: '001-vm',
    statements: [
      `CREATE TABLE vm(
         uuid TEXT PRIMARY KEY, desired TEXT NOT NULL CHECK(desired IN ('running','off','paused')),
         is_protected INTEGER NOT NULL DEFAULT 0, managed INTEGER NOT NULL DEFAULT 0, created_at TEXT, op_id TEXT) STRICT`,
    ],
  },
  { id: '002-definition', statements: ['ALTER TABLE vm ADD COLUMN definition TEXT'] },
  { id: '003-tags', statements: ["ALTER TABLE vm ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'"] },
  { id: '004-moved', statements: ['ALTER TABLE vm ADD COLUMN moved TEXT'] },
];

export interface VmRows {
  /** Reads the table; once, at start. */
  load(): Promise<void>;
  get(uuid: string): VmRow | null;
  all(): readonly VmRow[];
  /** Makes or replaces the row. With a transaction it stands or falls with it; memory follows at once. */
  put(row: VmRow, tx?: Transaction): Promise<void>;
  remove(uuid: string, tx?: Transaction): Promise<void>;
  /** Keeps the stored definition of a VM that has a row, for the day when another program takes it from libvirt. */
  keepDefinition(uuid: string, xml: string): Promise<void>;
  /** As it was last kept, without secrets; null when it never was. */
  definition(uuid: string): Promise<string | null>;
}

export function createVmRows(db: Database): VmRows {
  const rows = new Map<string, VmRow>();
  /** Hashes of the kept definitions: the texts themselves would take megabytes that nobody reads. */
  const kept = new Map<string, string>();
  const tablesOf = (tx: Transaction | undefined) => (tx ?? db).tables<VmTables>();

  return {
    async load() {
      for (const row of await tablesOf(undefined).selectFrom('vm').selectAll().execute()) {
        rows.set(row.uuid, {
          uuid: row.uuid,
          desired: row.desired,
          isProtected: row.is_protected === 1,
          tags: tagsSchema.parse(JSON.parse(row.tags)),
          managed: row.managed === 1,
          createdAt: row.created_at,
          operationId: row.op_id,
          moved: movedFromText(row.moved),
        });
        if (row.definition !== null) kept.set(row.uuid, hashText(row.definition));
      }
    },
    get: (uuid) => rows.get(uuid) ?? null,
    all: () => [...rows.values()],
    async put(row, tx) {
      const values = {
        desired: row.desired,
        is_protected: Number(row.isProtected),
        tags: JSON.stringify(row.tags),
        managed: Number(row.managed),
        created_at: row.createdAt,
        op_id: row.operationId,
        moved: movedToText(row.moved),
      };
      await tablesOf(tx)
        .insertInto('vm')
        .values({ uuid: row.uuid, definition: null, ...values })
        .onConflict((conflict) => conflict.column('uuid').doUpdateSet(values))
        .execute();
      rows.set(row.uuid, row);
    },
    async remove(uuid, tx) {
      await tablesOf(tx).deleteFrom('vm').where('uuid', '=', uuid).execute();
      rows.delete(uuid);
      kept.delete(uuid);
    },
    async keepDefinition(uuid, xml) {
      const hash = hashText(xml);
      if (!rows.has(uuid) || kept.get(uuid) === hash) return;
      kept.set(uuid, hash);
      await tablesOf(undefined).updateTable('vm').set({ definition: xml }).where('uuid', '=', uuid).execute();
    },
    async definition(uuid) {
      const row = await tablesOf(undefined)
        .selectFrom('vm')
        .select('definition')
        .where('uuid', '=', uuid)
        .executeTakeFirst();
      return row?.definition ?? null;
    },
  };
}
