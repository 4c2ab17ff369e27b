/** Gives a VM to another project: its name in libvirt gets the other prefix, and grants on it move along. Disks lie where they lay: their
 *  names tell nothing of a project. */

import { z } from 'zod';
import { defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { nameTaken } from './create-order.ts';
import type { VmServices } from './services.ts';

const moveInputSchema = z.object({
  vmId: z.string(),
  name: z.string(),
  /** Ids of the projects. */
  from: z.string(),
  to: z.string(),
});
export type MoveInput = z.infer<typeof moveInputSchema>;

export function moveVmOperation(services: VmServices): OperationDefinition<MoveInput> {
  const { projects } = services;
  return defineOperation({
    kind: 'vm.move',
    permission: 'vm.delete',
    alsoNeeds: ({ to }) => [{ project: to, permission: 'vm.create' }],
    input: moveInputSchema,
    // Those who see it are of the project that the VM leaves: what the other one is called is not theirs to know.
    title: ({ name }) => `Move ${name} to another project`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId, name, to }) => [`vm:${vmId}`, `vm-name:${projects.domainName(to, name)}`],
    charges: ({ vmId, to }) => services.charges.move(vmId, to),
    steps: (input) => moveSteps(input, services),
    result: async ({ vmId, name }) => ({ vmId, name }),
  });
}

function moveSteps({ vmId, name, from, to }: MoveInput, services: VmServices): Step[] {
  const { access, definer, known, projects, moveGrants } = services;
  const domain = { from: projects.domainName(from, name), to: projects.domainName(to, name) };

  return [
    {
      name: 'rename',
      title: 'Take it into the project',
      check: async () => (await access.holderOfName(domain.to)) === vmId,
      async act() {
        if ((await access.holderOfName(domain.to)) !== null) throw nameTaken(name);
        if (await access.isOn(vmId))
          throw new AppError('wrong_state', {
            detail: `"${name}" was started meanwhile, so it was not moved.`,
            hint: 'Shut it down first.',
          });
        await definer.rename(await access.secretXml(vmId), domain.to, { vmId, project: to, before: null });
      },
      async compensate() {
        if ((await access.holderOfName(domain.to)) !== vmId) return;
        const xml = await access.secretXml(vmId);
        // It was there a moment ago, with all that it has.
        const before = definer.forbiddenIn(xml, { vmId, project: from });
        await definer.rename(xml, domain.from, { vmId, project: from, before, isUndo: true });
      },
    },
    {
      name: 'grants',
      title: 'Move the grants on it',
      act: () => moveGrants(vmId, to),
      compensate: () => moveGrants(vmId, from),
    },
    {
      name: 'publish',
      title: 'Show the VM',
      act: async () => void (await known.refresh(vmId)),
      compensate: async () => void (await known.refresh(vmId)),
    },
  ];
}
