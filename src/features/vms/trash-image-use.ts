/** Which images the VMs in the trash need to come back as they were: the ISO in a drive, a kernel to boot from. */

import { factsOf } from '#features/inventory/index.ts';
import type { TrashRow } from './trash-store.ts';

export interface TrashedImageUse {
  readonly imageId: string;
  readonly vmId: string;
  readonly name: string;
  readonly isTrashed: true;
}

/** @param imageOf the image that a file is, or null */
export function createTrashedImageUse(
  list: () => readonly TrashRow[],
  imageOf: (path: string) => string | null,
): () => readonly TrashedImageUse[] {
  // A definition in the trash never changes, and it is asked for with every view of an image.
  const pathsById = new Map<string, readonly string[]>();

  const pathsOf = ({ id, xml }: TrashRow): readonly string[] => {
    const known = pathsById.get(id);
    if (known) return known;
    const { disks, kernelPath, initrdPath } = factsOf(xml);
    const paths = [...disks.map((disk) => disk.path), kernelPath, initrdPath].filter((path) => path !== null);
    pathsById.set(id, paths);
    return paths;
  };

  return () => {
    const rows = list();
    const present = new Set(rows.map(({ id }) => id));
    for (const id of pathsById.keys()) if (!present.has(id)) pathsById.delete(id);
    return rows.flatMap((row) =>
      pathsOf(row).flatMap((path) => {
        const imageId = imageOf(path);
        return imageId === null ? [] : [{ imageId, vmId: row.vmId, name: row.name, isTrashed: true as const }];
      }),
    );
  };
}
