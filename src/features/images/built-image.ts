/** Takes an image that the program made itself (the hello disk) into the library, in one go and without an operation. */

import { constants } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { Image, ImageKind } from '#contract/images.ts';
import type { Clock } from '#kernel/clock.ts';
import { AppError } from '#kernel/errors.ts';
import { newId } from '#kernel/ids.ts';
import { readContent } from './content-kind.ts';
import { digestFile, type ImageFiles, publishFile, removeFile } from './image-files.ts';
import type { ImageNames } from './image-names.ts';
import type { ImageLibrary } from './library.ts';
import type { ImageStore } from './store.ts';

export interface BuiltImage {
  readonly name: string;
  readonly kind: ImageKind;
  /** A finished file; it is copied. */
  readonly path: string;
  readonly format: Image['format'];
  readonly source: 'built';
  readonly defaultUser: string | null;
}

export interface AddBuiltOptions {
  readonly store: ImageStore;
  readonly files: ImageFiles;
  readonly library: ImageLibrary;
  readonly names: ImageNames;
  readonly clock: Clock;
}

/** The image of this name if it is there and whole, else a new one of the file.
 *  @throws AppError already_exists when the name belongs to an image whose file is missing, an upload or an unfinished operation; `image_refused`, no_space */
export async function addBuiltImage(
  built: BuiltImage,
  { store, files, library, names, clock }: AddBuiltOptions,
): Promise<Image> {
  await store.load();
  const known = store.imagesNamed(built.name).find(({ project }) => project === DEFAULT_PROJECT);
  if (known) {
    if (library.get(known.id)) return library.view(known.id);
    throw new AppError('already_exists', {
      detail: `The image ${built.name} exists, but its file is missing.`,
      hint: 'Delete the image, then try again.',
    });
  }
  const reserved = names.reserve(DEFAULT_PROJECT, built.name, built.name, null);
  const now = clock.now();
  const id = newId('img', now.getTime());
  // An operation's id makes the part one that the sweep takes when we do not come to the end.
  const part = files.part(newId('op', now.getTime()));
  try {
    await copyFile(built.path, part, constants.COPYFILE_FICLONE);
    const signal = AbortSignal.timeout(120_000);
    const content = await readContent(part, built.kind, signal);
    if (content.format !== built.format)
      throw new AppError('image_kind_mismatch', {
        detail: `It was said to be ${built.format}, but it is ${content.format ?? 'another container'}.`,
      });
    const { sha256 } = await digestFile(part, { withSha512: false, signal, onProgress: () => undefined });
    const file = files.nameOf(id, content.format);
    await publishFile(part, files.pathOf(file));
    const row = {
      id,
      name: built.name,
      kind: content.kind,
      format: content.format,
      file,
      size_bytes: content.sizeBytes,
      virtual_size_bytes: content.virtualSizeBytes,
      sha256,
      source: built.source,
      catalogue_id: null,
      verified: 'none' as const,
      label: content.label,
      default_user: built.defaultUser,
      created_at: now.toISOString(),
      project: DEFAULT_PROJECT,
      shared: 1,
    };
    await store.addImage(row);
    library.announce(row);
  } finally {
    reserved.release();
    await removeFile(part);
  }
  return library.view(id);
}
