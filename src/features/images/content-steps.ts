/** The steps that every new image takes once its bytes are here: checked, converted if need be, published. What a step found out
 *  is remembered, so a later life of the operation goes on from it. */

import { rename } from 'node:fs/promises';
import { z } from 'zod';
import { type Image, type ImageKind, imageKindSchema } from '#contract/images.ts';
import type { Step, StepContext } from '#features/operations/index.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { readContent } from './content-kind.ts';
import { digestFile, type ImageFiles, isFile, moveAway, publishFile, removeFile } from './image-files.ts';
import { imageCharge } from './image-quota.ts';
import type { ImageSpace } from './image-space.ts';
import { convertImage } from './inspect.ts';
import type { ImageRow, ImageStore } from './store.ts';

export const digestSchema = z.object({ kind: z.enum(['sha256', 'sha512']), value: z.string() });
export type Digest = z.infer<typeof digestSchema>;

/** What becomes of the bytes. */
export interface ContentJob {
  /** Id of the project that gets it. */
  readonly project: string;
  readonly imageId: string;
  readonly name: string;
  readonly kind: ImageKind | null;
  part(context: StepContext): string;
  /** All must fit. */
  expected(context: StepContext): readonly Digest[];
  /** Where it came from and what that proves. */
  provenance(context: StepContext): Pick<ImageRow, 'source' | 'catalogue_id' | 'verified' | 'default_user'>;
}

export interface ContentStepsOptions {
  readonly store: ImageStore;
  readonly files: ImageFiles;
  readonly space: ImageSpace;
  readonly clock: Clock;
  readonly onImage: (row: ImageRow) => void;
  readonly onImageGone: (image: { readonly id: string; readonly project: string }) => void;
}

const foundSchema = z.object({
  kind: imageKindSchema,
  format: z.enum(['iso', 'qcow2', 'raw']).nullable(),
  virtualSizeBytes: z.number(),
  sizeBytes: z.number(),
  label: z.string().nullable(),
  sha256: z.string(),
});
type Found = z.infer<typeof foundSchema>;

const FOUND = 'content';

/** What the check step found. @throws Error when it did not run: a mistake in the order of steps */
function recallFound(context: StepContext): Found {
  return foundSchema.parse(context.recall(FOUND));
}

function assertDigest(expected: Digest, got: string): void {
  if (expected.value === got) return;
  throw new AppError('checksum_mismatch', {
    detail: `The ${expected.kind.toUpperCase()} of the content is ${got}; expected was ${expected.value}. It was thrown away.`,
    params: { kind: expected.kind, expected: expected.value, got },
  });
}

export function contentSteps(
  job: ContentJob,
  { store, files, space, clock, onImage, onImageGone }: ContentStepsOptions,
): readonly Step[] {
  const look = async (context: StepContext): Promise<Found> => {
    const path = job.part(context);
    const { sha256 } = await digestFile(path, {
      withSha512: false,
      signal: context.signal,
      onProgress: () => undefined,
    });
    return { ...(await readContent(path, job.kind, context.signal)), sha256 };
  };
  const fileOf = (format: Image['format'] | null): string => {
    if (format === null) throw new Error('an image is published before it is converted');
    return files.nameOf(job.imageId, format);
  };

  return [
    {
      name: 'check',
      title: 'Check the content',
      isCancellable: true,
      timeoutMs: null,
      async act(context) {
        const path = job.part(context);
        const expected = job.expected(context);
        const digests = await digestFile(path, {
          withSha512: expected.some(({ kind }) => kind === 'sha512'),
          signal: context.signal,
          onProgress: (doneBytes, totalBytes) => context.progress({ doneBytes, totalBytes }),
        });
        for (const digest of expected)
          assertDigest(digest, digest.kind === 'sha256' ? digests.sha256 : (digests.sha512 ?? ''));
        context.progress({ note: 'Looking into it' });
        const content = await readContent(path, job.kind, context.signal);
        await context.remember(FOUND, { ...content, sha256: digests.sha256 });
      },
    },
    {
      name: 'convert',
      title: 'Convert to qcow2',
      isCancellable: true,
      timeoutMs: null,
      check: async (context) => recallFound(context).format !== null,
      async act(context) {
        const path = job.part(context);
        const converted = files.part(`${context.operationId}.converted`);
        await removeFile(converted);
        // A converted file that an earlier life put in place already is qcow2 and needs nothing more.
        const before = await look(context);
        if (before.format === null) {
          try {
            await space.take(context.operationId, before.sizeBytes);
            await convertImage(path, converted, { signal: context.signal });
          } finally {
            space.release(context.operationId);
          }
          await rename(converted, path);
        }
        await context.remember(FOUND, await look(context));
      },
      compensate: (context) => removeFile(files.part(`${context.operationId}.converted`)),
    },
    {
      name: 'publish',
      title: 'Put it into the library',
      check: async () => store.image(job.imageId) !== null,
      async act(context) {
        await store.load();
        const found = recallFound(context);
        const file = fileOf(found.format);
        await context.charge([imageCharge(job)(found.sizeBytes)]);
        await publishFile(job.part(context), files.pathOf(file));
        if (store.image(job.imageId) !== null) return;
        const row: ImageRow = {
          id: job.imageId,
          name: job.name,
          kind: found.kind,
          format: found.format ?? 'raw',
          file,
          size_bytes: found.sizeBytes,
          virtual_size_bytes: found.virtualSizeBytes,
          sha256: found.sha256,
          label: found.label,
          ...job.provenance(context),
          created_at: clock.now().toISOString(),
          project: job.project,
          shared: 0,
        };
        await store.addImage(row);
        onImage(row);
      },
      async compensate(context) {
        const found = foundSchema.safeParse(context.recall(FOUND));
        await store.removeImage(job.imageId);
        onImageGone({ id: job.imageId, project: job.project });
        if (!found.success || found.data.format === null) return;
        const path = files.pathOf(fileOf(found.data.format));
        if (await isFile(path)) await moveAway(path, files.quarantine(context.operationId));
      },
    },
  ];
}
