/** The kinds of operation of the image library. */

import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import { imageKindSchema } from '#contract/images.ts';
import { defineOperation, type OperationDefinition, type Step, type StepContext } from '#features/operations/index.ts';
import { mapLimit } from '#kernel/async.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import type { Fetcher } from '#platform/fetch/index.ts';
import { catalogue, findCatalogueEntry } from './catalogue.ts';
import { type CatalogueCheck, verifyCatalogueEntry } from './catalogue-online.ts';
import { type ContentJob, contentSteps, digestSchema } from './content-steps.ts';
import { copyStep, downloadStep, recallResolved, resolveStep } from './download-steps.ts';
import {
  type ImageFiles,
  isFile,
  moveAway,
  plainSize,
  removeEmptyFolder,
  removeFile,
  syncFolder,
} from './image-files.ts';
import { nameLock } from './image-names.ts';
import { imageCharge } from './image-quota.ts';
import type { ImageSpace } from './image-space.ts';
import type { ImageUser } from './library.ts';
import { type ImageRow, type ImageStore, imageRowSchema, type UploadRow } from './store.ts';

const target = {
  imageId: z.string(),
  project: z.string().default(DEFAULT_PROJECT),
  name: z.string(),
  kind: imageKindSchema.nullable(),
};

export const downloadInput = z.object({
  ...target,
  /** Null with a catalogue entry, whose address is found when it runs. */
  url: z.string().nullable(),
  digests: z.array(digestSchema),
  checksumUrl: z.string().nullable(),
  catalogueId: z.string().nullable(),
});
export const importInput = z.object({ ...target, path: z.string(), sha256: z.string().nullable() });
export const publishInput = z.object({ ...target, uploadId: z.string(), sha256: z.string().nullable() });
export const deleteInput = z.object({
  imageId: z.string(),
  project: z.string().default(DEFAULT_PROJECT),
  name: z.string(),
});
export const checkInput = z.object({ ids: z.array(z.string()) });

export interface ImageKindsOptions {
  readonly store: ImageStore;
  readonly files: ImageFiles;
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  readonly maxBytes: number;
  readonly space: ImageSpace;
  /** VMs that use the image, with a look at every disk. */
  readonly lookForUsers: (row: ImageRow) => Promise<readonly ImageUser[]>;
  readonly onImage: (row: ImageRow) => void;
  readonly onImageGone: (image: { readonly id: string; readonly project: string }) => void;
  /** @throws AppError upload_offset, foreign_file when not all bytes of a complete upload are there */
  readonly assertWhole: (row: UploadRow) => Promise<void>;
  /** Drops an upload's row and bytes. */
  readonly endUpload: (id: string) => Promise<void>;
  /** The same once its bytes are an image. */
  readonly finishUpload: (id: string) => Promise<void>;
}

export interface ImageKinds {
  readonly download: OperationDefinition<z.infer<typeof downloadInput>>;
  readonly import: OperationDefinition<z.infer<typeof importInput>>;
  readonly publish: OperationDefinition<z.infer<typeof publishInput>>;
  readonly delete: OperationDefinition<z.infer<typeof deleteInput>>;
  readonly check: OperationDefinition<z.infer<typeof checkInput>>;
}

/** Held by what changes an image; what only reads one shares it. */
export const imageLock = (id: string): string => `image:${id}`;

const PLACES = { host: '', trash: ' (in the trash)', elsewhere: ' (on another host)' } as const;

/** @param isSeen whether a VM may be named to the one who asks
 *  @throws AppError `image_in_use` naming the VMs that may be named */
export function assertUnused(
  row: ImageRow,
  users: readonly ImageUser[],
  isSeen: (user: ImageUser) => boolean = ({ project }) => project === row.project,
): void {
  if (users.length === 0) return;
  const seen = users.filter(isSeen);
  const names = seen.map(({ name, place }) => `${name}${PLACES[place]}`);
  const others = seen.length < users.length ? ['VMs of other projects'] : [];
  const told = [...names.slice(0, 5), ...(names.length > 5 ? [`${names.length - 5} more`] : []), ...others];
  throw new AppError('image_in_use', {
    detail: `${row.name} is used by ${told.join(', ')}.`,
    params: { vms: seen.map(({ name }) => name) },
  });
}

export function createImageKinds(options: ImageKindsOptions): ImageKinds {
  const { store, files, fetcher, clock } = options;
  const ownPart = (context: StepContext) => files.part(context.operationId);
  const idAndName = async (imageId: string) => ({ id: imageId, name: store.image(imageId)?.name ?? null });

  return {
    download: defineOperation({
      kind: 'image.download',
      permission: 'image.upload',
      input: downloadInput,
      title: ({ name }) => `Download ${name}`,
      object: ({ imageId, name }) => ({ type: 'image', id: imageId, name }),
      locks: ({ imageId, project, name }) => [imageLock(imageId), nameLock(project, name)],
      result: ({ imageId }) => idAndName(imageId),
      steps(input) {
        const entry = input.catalogueId === null ? null : findCatalogueEntry(input.catalogueId);
        const job: ContentJob = {
          ...input,
          part: ownPart,
          expected: (context) => recallResolved(context).digests,
          provenance: (context) => ({
            source: recallResolved(context).url,
            catalogue_id: input.catalogueId,
            verified: recallResolved(context).level,
            default_user: entry?.defaultUser ?? null,
          }),
        };
        const wanted = entry ?? { url: input.url ?? '', digests: input.digests, checksumUrl: input.checksumUrl };
        return [resolveStep(wanted, fetcher), downloadStep(options, imageCharge(input)), ...contentSteps(job, options)];
      },
    }),

    import: defineOperation({
      kind: 'image.import',
      permission: 'host.configure',
      input: importInput,
      title: ({ name }) => `Import ${name}`,
      object: ({ imageId, name }) => ({ type: 'image', id: imageId, name }),
      locks: ({ imageId, project, name }) => [imageLock(imageId), nameLock(project, name)],
      result: ({ imageId }) => idAndName(imageId),
      steps: (input) => [
        copyStep(input.path, options, imageCharge(input)),
        ...contentSteps({ ...input, part: ownPart, ...given(input.sha256, 'import') }, options),
      ],
    }),

    publish: defineOperation({
      kind: 'image.publish',
      permission: 'image.upload',
      input: publishInput,
      title: ({ name }) => `Check and publish ${name}`,
      object: ({ imageId, name }) => ({ type: 'image', id: imageId, name }),
      locks: ({ imageId, project, name, uploadId }) => [
        imageLock(imageId),
        nameLock(project, name),
        `upload:${uploadId}`,
      ],
      // What the upload holds becomes the image's.
      charges: (input) => [
        imageCharge(input)(store.upload(input.uploadId)?.size_bytes ?? 0),
        imageCharge({ ...input, imageId: input.uploadId })(0),
      ],
      result: ({ imageId }) => idAndName(imageId),
      steps: (input) => [
        {
          name: 'take',
          title: 'Take the upload',
          async act({ operationId }) {
            await store.load();
            const row = store.upload(input.uploadId);
            if (row) await options.assertWhole(row);
            // Here too: a crash may have come before whoever began the operation could say so.
            await store.changeUpload(input.uploadId, { operation_id: operationId });
          },
          // What was refused is not kept: the sender has the original.
          compensate: () => options.endUpload(input.uploadId),
        },
        ...contentSteps(
          { ...input, part: () => files.part(input.uploadId), ...given(input.sha256, 'upload') },
          options,
        ),
        { name: 'finish', title: 'Close the upload', act: () => options.finishUpload(input.uploadId) },
      ],
    }),

    delete: defineOperation({
      kind: 'image.delete',
      permission: 'image.delete',
      input: deleteInput,
      title: ({ name }) => `Delete image ${name}`,
      object: ({ imageId, name }) => ({ type: 'image', id: imageId, name }),
      locks: ({ imageId, project, name }) => [imageLock(imageId), nameLock(project, name)],
      charges({ imageId }) {
        const row = store.image(imageId);
        return row ? [imageCharge({ project: row.project, imageId })(0)] : [];
      },
      steps: ({ imageId }) => deleteSteps(imageId, options),
    }),

    check: defineOperation({
      kind: 'image.catalogue-check',
      permission: 'image.upload',
      input: checkInput,
      title: () => 'Check the catalogue online',
      object: () => null,
      locks: () => ['image-catalogue'],
      steps: ({ ids }) => [
        {
          name: 'check',
          title: 'Ask the publishers',
          isCancellable: true,
          timeoutMs: null,
          async act({ signal, progress }) {
            const entries = catalogue.filter(({ id }) => ids.includes(id));
            let done = 0;
            await mapLimit(entries, 4, async (entry) => {
              signal.throwIfAborted();
              const found = await verifyCatalogueEntry(entry, fetcher, clock, signal);
              await store.saveCatalogueCheck({
                id: entry.id,
                checked_at: found.checkedAt,
                result: JSON.stringify(found),
              });
              done += 1;
              progress({ ratio: done / entries.length, note: entry.name });
            });
          },
        },
      ],
      result: async ({ ids }) => ({ checks: ids.map((id) => lastCheck(store, id)).filter((found) => found !== null) }),
    }),
  };
}

function given(sha256: string | null, source: 'import' | 'upload'): Pick<ContentJob, 'expected' | 'provenance'> {
  return {
    expected: () => (sha256 === null ? [] : [{ kind: 'sha256', value: sha256 }]),
    provenance: () => ({
      source,
      catalogue_id: null,
      verified: sha256 === null ? 'none' : 'given_checksum',
      default_user: null,
    }),
  };
}

const checkSchema = z.object({ status: z.string(), detail: z.string(), checkedAt: z.string() });
export type LastCheck = Pick<CatalogueCheck, 'id' | 'checkedAt' | 'detail'> & { readonly status: string };

/** The last online check of a catalogue entry, or null. */
export function lastCheck(store: ImageStore, id: string): LastCheck | null {
  const row = store.catalogueChecks().get(id);
  return row ? { id, ...checkSchema.parse(JSON.parse(row.result)) } : null;
}

const ROW = 'row';

/** First nobody can find it any more, then the file goes: whoever looked it up before keeps his descriptor. */
function deleteSteps(
  imageId: string,
  { store, files, lookForUsers, onImage, onImageGone }: ImageKindsOptions,
): readonly Step[] {
  const remembered = (context: StepContext): ImageRow | null =>
    imageRowSchema.nullish().parse(context.recall(ROW)) ?? null;
  return [
    {
      name: 'unlist',
      title: 'Take it off the list',
      async act(context) {
        await store.load();
        const row = store.image(imageId);
        if (row === null) return;
        assertUnused(row, await lookForUsers(row));
        await plainSize(files.pathOf(row.file));
        await context.remember(ROW, row);
        await store.removeImage(imageId);
        onImageGone(row);
      },
      async compensate(context) {
        await store.load();
        const row = remembered(context);
        if (!row || store.image(imageId) !== null) return;
        await store.addImage(row);
        onImage(row);
      },
    },
    {
      name: 'set-aside',
      title: 'Set the file aside',
      async act(context) {
        const row = remembered(context);
        if (row) await moveAway(files.pathOf(row.file), files.quarantine(context.operationId));
      },
      async compensate(context) {
        const row = remembered(context);
        const aside = row ? join(files.quarantine(context.operationId), row.file) : null;
        if (!row || aside === null || !(await isFile(aside))) return;
        await rename(aside, files.pathOf(row.file));
        await syncFolder(files.folder);
      },
    },
    {
      name: 'remove',
      title: 'Remove the file',
      async act(context) {
        const row = remembered(context);
        if (row) await removeFile(join(files.quarantine(context.operationId), row.file));
        await removeEmptyFolder(files.quarantine(context.operationId));
      },
    },
  ];
}
