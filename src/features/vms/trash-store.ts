/** The trash: one row for each deleted VM, with its definition and where its files lie now and lay before. */

import { z } from 'zod';
import { type TrashItem, tagsSchema } from '#contract/vms.ts';
import { type MovedAway, movedFromText, movedToText } from '#features/inventory/index.ts';
import type { Database, Migration, Transaction } from '#platform/db/database.ts';

/** A file that was moved: `from` in use, `to` in the trash. */
export interface MovedFile {
  readonly from: string;
  readonly to: string;
}

export interface TrashRow {
  readonly id: string;
  readonly vmId: string;
  /** In libvirt. */
  readonly name: string;
  /** Inactive definition with its secrets, to define it again exactly. Never leaves the process. */
  readonly xml: string;
  readonly files: readonly MovedFile[];
  readonly hasTpm: boolean;
  readonly isAutostart: boolean;
  readonly isManaged: boolean;
  readonly tags: readonly string[];
  readonly createdAt: string | null;
  readonly sizeBytes: number;
  readonly deletedAt: string;
  readonly purgeAt: string;
  readonly deletedBy: string;
  /** Another program took the VM from libvirt: its files lie where they were, and only a person may delete them. */
  readonly isTakenAway: boolean;
  /** Another program had moved it to another host, where it may run with the same disks; null = it had not. */
  readonly moved: MovedAway | null;
}

interface TrashTables {
  trash: {
    id: string;
    vm_id: string;
    name: string;
    xml: string;
    files: string;
    has_tpm: number;
    autostart: number;
    managed: number;
    created_at: string | null;
    size_bytes: number;
    deleted_at: string;
    purge_at: string;
    deleted_by: string;
    ready: number;
    taken_away: number;
    moved: string | null;
    tags: string;
  };
}

export const trashMigrations: readonly Migration[] = [
  {
    id: '001-trash',
    statements: [
      `CREATE TABLE trash(
         id TEXT PRIMARY KEY, vm_id TEXT NOT NULL, name TEXT NOT NULL, xml TEXT NOT NULL, files TEXT NOT NULL,
         has_tpm INTEGER NOT NULL, autostart INTEGER NOT NULL, managed INTEGER NOT NULL, created_at TEXT, size_bytes INTEGER NOT NULL,
         deleted_at TEXT NOT NULL, purge_at TEXT NOT NULL, deleted_by TEXT NOT NULL, ready INTEGER NOT NULL DEFAULT 0) STRICT`,
    ],
  },
  { id: '002-taken-away', statements: ['ALTER TABLE trash ADD COLUMN taken_away INTEGER NOT NULL DEFAULT 0'] },
  { id: '003-tags', statements: ["ALTER TABLE trash ADD COLUMN tags TEXT NOT NULL DEFAULT '[]'"] },
  { id: '004-moved', statements: ['ALTER TABLE trash ADD COLUMN moved TEXT'] },
];

const filesSchema = z.array(z.object({ from: z.string(), to: z.string() }));

export interface TrashStore {
  load(): Promise<void>;
  /** Items that are wholly in the trash, newest first. */
  list(): readonly TrashRow[];
  /** Also finds an item that is still on its way in. */
  get(id: string): TrashRow | null;
  /** The item of this VM, also one on its way in. */
  ofVm(vmId: string): TrashRow | null;
  /** The row is written before anything is moved, and shown only once it is `ready`. */
  put(row: TrashRow, isReady: boolean): Promise<void>;
  remove(id: string, tx?: Transaction): Promise<void>;
}

/** @param onChange told the row after each visible change */
export function createTrashStore(db: Database, onChange: (row: TrashRow) => void): TrashStore {
  const rows = new Map<string, { readonly row: TrashRow; readonly isReady: boolean }>();

  return {
    async load() {
      for (const stored of await db.tables<TrashTables>().selectFrom('trash').selectAll().execute()) {
        const row: TrashRow = {
          id: stored.id,
          vmId: stored.vm_id,
          name: stored.name,
          xml: stored.xml,
          files: filesSchema.parse(JSON.parse(stored.files)),
          hasTpm: stored.has_tpm === 1,
          isAutostart: stored.autostart === 1,
          isManaged: stored.managed === 1,
          tags: tagsSchema.parse(JSON.parse(stored.tags)),
          createdAt: stored.created_at,
          sizeBytes: stored.size_bytes,
          deletedAt: stored.deleted_at,
          purgeAt: stored.purge_at,
          deletedBy: stored.deleted_by,
          isTakenAway: stored.taken_away === 1,
          moved: movedFromText(stored.moved),
        };
        rows.set(row.id, { row, isReady: stored.ready === 1 });
      }
    },
    list: () =>
      [...rows.values()]
        .filter((entry) => entry.isReady)
        .map((entry) => entry.row)
        .sort((a, b) => (a.deletedAt < b.deletedAt ? 1 : -1)),
    get: (id) => rows.get(id)?.row ?? null,
    ofVm: (vmId) => [...rows.values()].find(({ row }) => row.vmId === vmId)?.row ?? null,
    async put(row, isReady) {
      const values = {
        vm_id: row.vmId,
        name: row.name,
        xml: row.xml,
        files: JSON.stringify(row.files),
        has_tpm: Number(row.hasTpm),
        autostart: Number(row.isAutostart),
        managed: Number(row.isManaged),
        tags: JSON.stringify(row.tags),
        created_at: row.createdAt,
        size_bytes: row.sizeBytes,
        deleted_at: row.deletedAt,
        purge_at: row.purgeAt,
        deleted_by: row.deletedBy,
        ready: Number(isReady),
        taken_away: Number(row.isTakenAway),
        moved: movedToText(row.moved),
      };
      await db
        .tables<TrashTables>()
        .insertInto('trash')
        .values({ id: row.id, ...values })
        .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
        .execute();
      rows.set(row.id, { row, isReady });
      if (isReady) onChange(row);
    },
    async remove(id, tx) {
      await (tx ?? db).tables<TrashTables>().deleteFrom('trash').where('id', '=', id).execute();
      const entry = rows.get(id);
      if (rows.delete(id) && entry) onChange(entry.row);
    },
  };
}

/** The item as the API shows it: file names, no paths. */
export function trashView(row: TrashRow, ofDomain: (name: string) => { project: string; name: string }): TrashItem {
  return {
    id: row.id,
    vmId: row.vmId,
    ...ofDomain(row.name),
    state: 'trashed',
    deletedAt: row.deletedAt,
    purgeAt: row.isTakenAway ? null : row.purgeAt,
    isTakenAway: row.isTakenAway,
    sizeBytes: row.sizeBytes,
    disks: row.files
      .map((file) => file.from.slice(file.from.lastIndexOf('/') + 1))
      .filter((name) => !name.endsWith('.fd') && !name.includes('.log')),
    deletedBy: row.deletedBy,
  };
}
