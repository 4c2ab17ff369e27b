/** The rows of images, uploads and catalogue checks. Images and uploads are held in memory too, because others ask for them
 *  while they cannot wait; the database is written first. */

import { z } from 'zod';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { type ImageKind, imageKindSchema } from '#contract/images.ts';
import type { QuotasApi } from '#features/quotas/index.ts';
import type { Database } from '#platform/db/database.ts';
import { nameTaken } from './image-names.ts';

export const imageRowSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: imageKindSchema,
    format: z.enum(['iso', 'qcow2', 'raw']),
    file: z.string().describe('name in the image folder'),
    size_bytes: z.number(),
    virtual_size_bytes: z.number(),
    sha256: z.string(),
    source: z.string(),
    catalogue_id: z.string().nullable(),
    verified: z.enum(['signature', 'checksum', 'given_checksum', 'none']),
    label: z.string().nullable(),
    default_user: z.string().nullable(),
    created_at: z.string(),
    project: z.string().default(DEFAULT_PROJECT),
    shared: z.number().default(0),
  })
  .readonly();
export type ImageRow = z.infer<typeof imageRowSchema>;

export interface UploadRow {
  readonly id: string;
  readonly name: string;
  readonly kind: ImageKind | null;
  readonly size_bytes: number;
  /** Received and safe on disk. */
  readonly offset_bytes: number;
  readonly sha256: string | null;
  /** Name of the sender. */
  readonly actor: string;
  /** Who sent it (`Sender` as JSON), for the day when its rights are asked for again; null in rows of before that was kept. */
  readonly sender: string | null;
  readonly project: string;
  /** Checks and publishes it. */
  readonly operation_id: string | null;
  readonly created_at: string;
  readonly expires_at: string;
}

export interface CatalogueCheckRow {
  readonly id: string;
  readonly checked_at: string;
  readonly result: string;
}

interface ImageTables {
  image: ImageRow;
  upload: UploadRow;
  catalogue_check: CatalogueCheckRow;
}

export interface ImageStore {
  /** Reads what is held in memory; everything that changes rows waits for it. */
  load(): Promise<void>;
  /** By name. */
  images(): readonly ImageRow[];
  image(id: string): ImageRow | null;
  /** One in each project at most. */
  imagesNamed(name: string): readonly ImageRow[];
  /** @throws AppError already_exists */
  addImage(row: ImageRow): Promise<void>;
  removeImage(id: string): Promise<void>;
  /** Null when there is no such image. */
  shareImage(id: string, isShared: boolean): Promise<ImageRow | null>;
  uploads(): readonly UploadRow[];
  upload(id: string): UploadRow | null;
  /** Charges its whole size to the project. @throws AppError already_exists, quota_exceeded */
  addUpload(row: UploadRow): Promise<void>;
  changeUpload(
    id: string,
    values: Partial<Pick<UploadRow, 'offset_bytes' | 'operation_id' | 'expires_at'>>,
  ): Promise<UploadRow | null>;
  /** @param isImage its bytes are an image now, which is charged by the operation that made it */
  removeUpload(id: string, isImage: boolean): Promise<void>;
  catalogueChecks(): ReadonlyMap<string, CatalogueCheckRow>;
  saveCatalogueCheck(row: CatalogueCheckRow): Promise<void>;
}

/** SQLITE_CONSTRAINT_UNIQUE: https://www.sqlite.org/rescode.html */
const NOT_UNIQUE = 2067;

/** The journal lets no second row have the name. */
function isTwice(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === NOT_UNIQUE;
}

const uploadCharge = ({ id, project }: UploadRow, amount: number) => ({
  project,
  resource: 'images' as const,
  objectId: id,
  amount,
});

/** @param quota keeps the books of what uploads hold */
export function createImageStore(db: Database, quota: Pick<QuotasApi, 'hold'>): ImageStore {
  const tables = () => db.tables<ImageTables>();
  const images = new Map<string, ImageRow>();
  const uploads = new Map<string, UploadRow>();
  const checks = new Map<string, CatalogueCheckRow>();
  let loading: Promise<void> | null = null;

  const read = async () => {
    for (const row of await tables().selectFrom('image').selectAll().execute()) images.set(row.id, row);
    for (const row of await tables().selectFrom('upload').selectAll().execute()) uploads.set(row.id, row);
    for (const row of await tables().selectFrom('catalogue_check').selectAll().execute()) checks.set(row.id, row);
  };
  const load = () => {
    loading ??= read();
    return loading;
  };

  return {
    load,
    images: () =>
      [...images.values()].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id < b.id ? -1 : 1)),
    image: (id) => images.get(id) ?? null,
    imagesNamed: (name) => [...images.values()].filter((row) => row.name === name),
    async addImage(row) {
      await load();
      await db
        .transaction((tx) => tx.tables<ImageTables>().insertInto('image').values(row).execute())
        .catch((error: unknown) => Promise.reject(isTwice(error) ? nameTaken(row.name) : error));
      images.set(row.id, row);
    },
    async removeImage(id) {
      await load();
      await db.transaction((tx) => tx.tables<ImageTables>().deleteFrom('image').where('id', '=', id).execute());
      images.delete(id);
    },
    async shareImage(id, isShared) {
      await load();
      const row = images.get(id);
      if (!row) return null;
      const changed = { ...row, shared: Number(isShared) };
      await db.transaction((tx) =>
        tx.tables<ImageTables>().updateTable('image').set({ shared: changed.shared }).where('id', '=', id).execute(),
      );
      images.set(id, changed);
      return changed;
    },
    uploads: () => [...uploads.values()],
    upload: (id) => uploads.get(id) ?? null,
    async addUpload(row) {
      await load();
      await db
        .transaction(async (tx) => {
          await quota.hold(tx, null, [uploadCharge(row, row.size_bytes)]);
          await tx.tables<ImageTables>().insertInto('upload').values(row).execute();
        })
        .catch((error: unknown) => Promise.reject(isTwice(error) ? nameTaken(row.name) : error));
      uploads.set(row.id, row);
    },
    async changeUpload(id, values) {
      await load();
      await db.transaction((tx) =>
        tx.tables<ImageTables>().updateTable('upload').set(values).where('id', '=', id).execute(),
      );
      const row = uploads.get(id);
      if (!row) return null;
      const changed = { ...row, ...values };
      uploads.set(id, changed);
      return changed;
    },
    async removeUpload(id, isImage) {
      await load();
      const row = uploads.get(id);
      await db.transaction(async (tx) => {
        if (row && !isImage) await quota.hold(tx, null, [uploadCharge(row, 0)]);
        await tx.tables<ImageTables>().deleteFrom('upload').where('id', '=', id).execute();
      });
      uploads.delete(id);
    },
    catalogueChecks: () => checks,
    async saveCatalogueCheck(row) {
      await load();
      await db.transaction((tx) =>
        tx
          .tables<ImageTables>()
          .insertInto('catalogue_check')
          .values(row)
          .onConflict((conflict) =>
            conflict.column('id').doUpdateSet({ checked_at: row.checked_at, result: row.result }),
          )
          .execute(),
      );
      checks.set(row.id, row);
    },
  };
}
