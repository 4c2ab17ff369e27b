/** Which disks of a VM still need its restore point. The headers of the disks are the truth: QEMU takes the name out of them last, when all
 *  data is there. */

import { readDomain } from '#libvirt/index.ts';
import { backingChain, backingName } from '#platform/backing-chain.ts';

/** Targets whose disk, or one that it builds upon, builds upon this export; as the definition has them.
 *  @param xml the running VM's definition, or that of one that is off
 *  @throws system errors, also when a disk may not be read: then nobody knows */
export async function attachedDisks(xml: string, socketPath: string): Promise<readonly string[]> {
  const name = JSON.stringify(socketPath);
  const found: string[] = [];
  for (const { target, source, sourceType } of readDomain(xml).disks) {
    if (source === null || sourceType !== 'file') continue;
    // Somebody may have laid a snapshot on it.
    for (const file of [source, ...(await backingChain(source))])
      if ((await backingName(file))?.includes(name)) {
        found.push(target);
        break;
      }
  }
  return found;
}
