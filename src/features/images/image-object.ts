/** An image as an object of policy. */

import type { Image } from '#contract/images.ts';
import type { FoundObject } from '#platform/feature.ts';

export const imageObject = (image: Pick<Image, 'id' | 'name' | 'project' | 'isShared'>): FoundObject => ({
  type: 'image',
  id: image.id,
  name: image.name,
  project: image.project,
  ...(image.isShared ? { sharedWith: 'all' as const } : {}),
});
