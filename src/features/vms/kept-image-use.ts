/** Which images VMs need that this host does not have now: those in the trash, to come back as they were, and those that went to other hosts.
 *  The ISO in a drive, a kernel to boot from, what a disk builds upon. */

import type { DiskOwner } from '#features/images/index.ts';
import { factsOf } from '#features/inventory/index.ts';
import type { TrashRow } from './trash-store.ts';

export interface KeptImageUse {
  readonly imageId: string;
  readonly vmId: string;
  readonly name: string;
  readonly project: string;
  readonly place: 'trash' | 'elsewhere';
}

type UsedRow = Pick<TrashRow, 'id' | 'vmId' | 'name' | 'xml' | 'files' | 'isTakenAway'> & Pick<KeptImageUse, 'place'>;

/** @param imageOf the image that a file is, or null
 *  @param ofDomain whose a domain is, and what people call it */
export function createKeptImageUse(
  list: () => readonly UsedRow[],
  imageOf: (path: string) => string | null,
  ofDomain: (domainName: string) => { readonly project: string; readonly name: string },
): { readonly images: () => readonly KeptImageUse[]; readonly disks: () => readonly DiskOwner[] } {
  // A definition in the trash never changes, and it is asked for with every view of an image.
  const usedById = new Map<string, { readonly paths: readonly string[]; readonly owner: DiskOwner }>();

  const usedBy = (row: UsedRow) => {
    const known = usedById.get(row.id);
    if (known) return known;
    const { disks, kernelPath, initrdPath } = factsOf(row.xml);
    const inFiles = disks.flatMap(({ path, format }) => (path?.startsWith('/') ? [{ path, format }] : []));
    const used = {
      paths: [...disks.map((disk) => disk.path), kernelPath, initrdPath].filter((path) => path !== null),
      owner: {
        vmId: row.vmId,
        ...ofDomain(row.name),
        place: row.place,
        key: row.id,
        disks: inFiles.map(({ path, format }) => ({
          path: row.isTakenAway ? path : (row.files.find(({ from }) => from === path)?.to ?? path),
          namedFrom: path,
          isQcow2: format === 'qcow2',
        })),
      },
    };
    usedById.set(row.id, used);
    return used;
  };
  const all = () => {
    const rows = list();
    const present = new Set(rows.map(({ id }) => id));
    for (const id of usedById.keys()) if (!present.has(id)) usedById.delete(id);
    return rows.map((row) => ({ row, ...usedBy(row) }));
  };

  return {
    images: () =>
      all().flatMap(({ row, paths }) =>
        paths.flatMap((path) => {
          const imageId = imageOf(path);
          return imageId === null ? [] : [{ imageId, vmId: row.vmId, ...ofDomain(row.name), place: row.place }];
        }),
      ),
    disks: () => all().map(({ owner }) => owner),
  };
}
