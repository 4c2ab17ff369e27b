/** What images hold of the quota of their project: the bytes of their files, from the moment in which the size is known. */

import type { Charge } from '#features/operations/index.ts';
import type { Existing, ExistingSource } from '#features/quotas/index.ts';
import type { ImageStore } from './store.ts';

/** The charge for so many bytes of an image. */
export type ImageCharge = (bytes: number) => Charge;

export function imageCharge({ project, imageId }: { readonly project: string; readonly imageId: string }): ImageCharge {
  return (amount) => ({ project, resource: 'images', objectId: imageId, amount });
}

/** Images and unfinished uploads, as the library has them. */
export function imagesThatExist(store: Pick<ImageStore, 'images' | 'uploads'>): ExistingSource {
  return {
    resources: ['images'],
    list: () =>
      [...store.images(), ...store.uploads()].map(
        ({ id, project, size_bytes }): Existing => ({
          project,
          resource: 'images',
          objectId: id,
          amount: size_bytes,
          owner: null,
        }),
      ),
  };
}
