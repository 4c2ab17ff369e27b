/** Hears of VMs that other programs move between hosts and has each noted by an operation. */

import type { InventoryApi, VmMove } from '#features/inventory/index.ts';
import type { OperationsApi, RegisteredKind } from '#features/operations/index.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import { inNameOf } from '#platform/feature.ts';
import type { MigratedInput } from './migrated-operation.ts';

/** As it stands in the records. */
const OTHERS = inNameOf('another program');

/** @returns the function that ends it */
export function noteMigrations({
  known,
  operations,
  kind,
  log,
}: {
  readonly known: Pick<InventoryApi, 'vm' | 'refresh' | 'onMove'>;
  readonly operations: Pick<OperationsApi, 'start'>;
  readonly kind: RegisteredKind<MigratedInput>;
  readonly log: Logger;
}): () => void {
  const note = async (vmId: string, move: VmMove): Promise<void> => {
    // One that leaves is soon gone; one that comes may not be known yet.
    const vm = known.vm(vmId) ?? (await known.refresh(vmId));
    if (vm === null) return;
    await operations.start(
      kind,
      { vmId, name: vm.name, move },
      {
        identity: OTHERS,
        project: vm.project,
        requestId: null,
        idempotencyKey: null,
        requestHash: vmId,
        action: `libvirt migrated ${move}`,
      },
    );
  };
  return known.onMove((vmId, move) => {
    note(vmId, move).catch((error: unknown) =>
      log.warn({ vm: vmId, move, err: error }, `that a VM was moved could not be noted: ${messageOf(error)}`),
    );
  });
}
