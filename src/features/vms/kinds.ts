/** All kinds of operations on VMs, registered with the journal. */

import type { OperationsApi } from '#features/operations/index.ts';
import { createVmOperation } from './create-operation.ts';
import { deleteVmOperation } from './delete-operation.ts';
import { editVmOperation } from './edit-operation.ts';
import { migratedVmOperation } from './migrated-operation.ts';
import { moveVmOperation } from './move-operation.ts';
import { powerOperation, shutdownOperation } from './power-operations.ts';
import type { VmServices } from './services.ts';
import { purgeVmOperation, restoreVmOperation } from './trash-operations.ts';

export type VmKinds = ReturnType<typeof registerVmKinds>;

export function registerVmKinds(operations: OperationsApi, services: VmServices) {
  return {
    create: operations.register(createVmOperation(services)),
    edit: operations.register(editVmOperation(services)),
    move: operations.register(moveVmOperation(services)),
    migrated: operations.register(migratedVmOperation(services)),
    delete: operations.register(deleteVmOperation(services)),
    restore: operations.register(restoreVmOperation(services)),
    purge: operations.register(purgeVmOperation(services)),
    shutdown: operations.register(shutdownOperation(services)),
    power: {
      start: operations.register(powerOperation('start', services)),
      stop: operations.register(powerOperation('stop', services)),
      reboot: operations.register(powerOperation('reboot', services)),
      reset: operations.register(powerOperation('reset', services)),
      pause: operations.register(powerOperation('pause', services)),
      resume: operations.register(powerOperation('resume', services)),
    },
  };
}
