/** Which disks of a VM still need its restore point. The headers of the disks are the truth: QEMU takes the name out of them last, when all
 *  data is there. */

import { readDomain } from '#libvirt/index.ts';
import { backingChain, backingName } from '#platform/backing-chain.ts';
import type { InstantDisk } from './tables.ts';

/** Targets whose disk, or one that it builds upon, builds upon this export; as the definition has them.
 *  @param xml the running VM's definition, or that of one that is off
 *  @param from the export, and the disks that were made over it: others that the VM has got since are not looked at
 *  @throws system errors, also when one of these disks may not be read: then nobody knows */
export async function attachedDisks(
  xml: string,
  from: { readonly socketPath: string; readonly disks: readonly Pick<InstantDisk, 'target'>[] },
): Promise<readonly string[]> {
  const name = JSON.stringify(from.socketPath);
  const targets = new Set(from.disks.map(({ target }) => target));
  const found: string[] = [];
  for (const { target, source, sourceType } of readDomain(xml).disks) {
    if (source === null || sourceType !== 'file' || !targets.has(target)) continue;
    // Somebody may have laid a snapshot on it.
    for (const file of [source, ...(await backingChain(source))])
      if ((await backingName(file))?.includes(name)) {
        found.push(target);
        break;
      }
  }
  return found;
}
