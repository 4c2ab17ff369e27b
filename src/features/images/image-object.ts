/** Images as objects of policy: whose they are, who sees them and what of them, and how they are found by name. */

import type { Image } from '#contract/images.ts';
import type { May, ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, ObjectRef } from '#platform/feature.ts';
import type { ImageRow } from './store.ts';

export function imageObject(
  image: Pick<Image, 'id' | 'name' | 'project' | 'isShared'>,
  projects: Pick<ProjectsApi, 'usersOf'>,
): FoundObject {
  return {
    type: 'image',
    id: image.id,
    name: image.name,
    project: image.project,
    sharedWith: image.isShared ? 'all' : projects.usersOf('image', image.id),
  };
}

export const rowObject = (row: ImageRow, projects: Pick<ProjectsApi, 'usersOf'>): FoundObject =>
  imageObject({ ...row, isShared: row.shared === 1 }, projects);

/** The image as those see it of whom `may` tells: only VMs that they may see use it. */
export function imageAsSeen(image: Image, may: May): Image {
  return { ...image, usedBy: image.usedBy.filter((user) => isSeen(user, may)) };
}

export const isSeen = (user: Image['usedBy'][number], may: May): boolean =>
  may('vm.read', {
    type: user.place === 'trash' ? 'trash' : 'vm',
    id: user.vmId,
    project: user.project,
    vmId: user.vmId,
  });

interface NamedImages {
  image(id: string): ImageRow | null;
  imagesNamed(name: string): readonly ImageRow[];
}

/** By id, by name among those that fit, or as PROJECT/NAME.
 *  @param preferred the project whose own image is meant where several have the name
 *  @throws AppError ambiguous_name */
export function findImage(
  idOrName: string,
  { image, imagesNamed }: NamedImages,
  projects: Pick<ProjectsApi, 'get' | 'usersOf'>,
  isFit: (object: ObjectRef) => boolean,
  preferred: string | null = null,
): ImageRow | null {
  const byId = image(idOrName);
  if (byId) return byId;
  const at = idOrName.indexOf('/');
  const owner = at < 0 ? null : projects.get(idOrName.slice(0, at));
  const named = owner
    ? imagesNamed(idOrName.slice(at + 1)).filter(({ project }) => project === owner.id)
    : imagesNamed(idOrName);
  const found = named.filter((row) => isFit(rowObject(row, projects)));
  const own = found.find(({ project }) => project === preferred);
  if (own) return own;
  if (found.length > 1)
    throw new AppError('ambiguous_name', {
      detail: `${found.length} images are called "${idOrName.slice(0, 80)}".`,
      hint: 'Name it as PROJECT/NAME, or use its id; the list shows both.',
    });
  return found[0] ?? null;
}
