/** Takes away what proofs leave when hyperd or the host dies under them: test VMs, networks, packet filters, overlays. Only what is named
 *  by an operation of ours goes, and never that of one that is still open. */

import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import type { Isolation } from './isolation.ts';
import { destroyTestVm, findTestVm, runningTestVms } from './test-vm.ts';
import type { WorkFolders } from './work-folder.ts';

/** Takes away everything of one proof. @throws failures of libvirt, of nft and of the file system */
export type CleanUp = (operationId: string) => Promise<void>;

interface Parts {
  readonly libvirt: Pick<LibvirtHost, 'domains'>;
  readonly isolation: Isolation;
  readonly folders: WorkFolders;
}

export function createCleanUp({ libvirt, isolation, folders }: Parts): CleanUp {
  return async (operationId) => {
    const uuid = await findTestVm(libvirt, operationId);
    if (uuid !== null) await destroyTestVm(libvirt, uuid);
    await isolation.down(operationId);
    await folders.remove(operationId);
  };
}

/** @param isOpen whether the operation still works, or will be taken up again
 *  @returns how many proofs something was left of. @throws when libvirt does not answer; try again later */
export async function removeLeftovers(
  parts: Parts,
  cleanUp: CleanUp,
  isOpen: (operationId: string) => Promise<boolean>,
  log: Logger,
): Promise<number> {
  const found = new Set([
    ...(await runningTestVms(parts.libvirt)).keys(),
    ...(await parts.isolation.leftovers()),
    ...(await parts.folders.list()),
  ]);
  const open = new Set<string>();
  let removed = 0;
  for (const operationId of found) {
    if (await isOpen(operationId)) {
      open.add(operationId);
      continue;
    }
    try {
      await cleanUp(operationId);
      removed += 1;
    } catch (error) {
      log.warn({ operation: operationId, err: messageOf(error) }, 'what a proof left could not be taken away');
    }
  }
  await parts.isolation.downOrphanRules(open);
  return removed;
}
