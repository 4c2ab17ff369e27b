/** Notes that another program moved a VM from this host to another one, or from there to this one (`virsh migrate`). Nothing is done to the
 *  VM: as an operation it stands in the records, is marked on graphs, and alerts wait while the guest settles. */

import { z } from 'zod';
import type { VmMove } from '#features/inventory/index.ts';
import { defineOperation, type OperationDefinition } from '#features/operations/index.ts';
import type { VmServices } from './services.ts';

const migratedInputSchema = z.object({ vmId: z.string(), name: z.string(), move: z.enum(['here', 'away']) });
export type MigratedInput = z.infer<typeof migratedInputSchema>;

const TITLES: Readonly<Record<VmMove, (name: string) => string>> = {
  here: (name) => `${name} came from another host`,
  away: (name) => `${name} went to another host`,
};

export function migratedVmOperation({ known }: VmServices): OperationDefinition<MigratedInput> {
  return defineOperation({
    kind: 'vm.migrated',
    permission: 'vm.power',
    input: migratedInputSchema,
    title: ({ name, move }) => TITLES[move](name),
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    // It has happened: whoever works on the VM does not make it wait.
    locks: () => [],
    steps: ({ vmId }) => [
      {
        name: 'look',
        title: 'Look at what is here',
        act: async () => void (await known.refresh(vmId)),
      },
    ],
    result: async ({ vmId, name, move }) => ({ vmId, name, move }),
  });
}
