/** Puts one disk of a restore point into a VM that is there, as a further disk: the VM's own disks stay as they are. It is written beside its
 *  place, every chunk compared with its id, and the VM has it from its next start on. */

import { z } from 'zod';
import { type Charge, defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { AppError } from '#kernel/errors.ts';
import { editDomain } from '#libvirt/index.ts';
import { disksStep, pointLock, type RestoreServices } from './restore-operation.ts';

export const ADD_DISK = 'backup.disk';

export const diskOrderSchema = z.object({
  pointId: z.string(),
  repositoryId: z.string(),
  vmId: z.string(),
  vmName: z.string(),
  /** Of the VM. */
  project: z.string(),
  /** One. */
  disks: z.array(z.object({ target: z.string(), format: z.enum(['qcow2', 'raw']), sizeBytes: z.number() })).length(1),
  /** What the VM holds of its quota afterwards; null = how large its other disks are is not known. */
  holdsBytes: z.number().nullable(),
});
export type DiskOrder = z.infer<typeof diskOrderSchema>;

const DEFINE_MS = 60_000;

export function diskOperation(services: RestoreServices): OperationDefinition<DiskOrder> {
  return defineOperation({
    kind: ADD_DISK,
    permission: 'backup.restore',
    input: diskOrderSchema,
    title: ({ vmName }) => `Add a disk of a restore point to ${vmName}`,
    object: ({ vmId, vmName }) => ({ type: 'vm', id: vmId, name: vmName }),
    locks: ({ vmId }) => [`vm:${vmId}`],
    shares: ({ pointId, repositoryId }) => [pointLock(pointId), `repository:${repositoryId}`],
    charges: diskCharges,
    steps: (order) => diskSteps(order, services),
    result: async (order, { operationId }) => ({
      vmId: order.vmId,
      name: order.vmName,
      target: await targetOf(order, operationId, services),
    }),
  });
}

export const diskCharges = ({ project, vmId, holdsBytes }: DiskOrder): readonly Charge[] =>
  holdsBytes === null ? [] : [{ project, resource: 'disk', objectId: vmId, amount: holdsBytes }];

/** Where the VM has the new disk, which is known by its file; null = nowhere yet. */
async function targetOf(
  { vmId, disks }: DiskOrder,
  operationId: string,
  { parts }: RestoreServices,
): Promise<string | null> {
  const paths = disks.map(({ format }) => parts.files.disk(operationId, 0, format));
  const facts = await parts.access.storedFacts(vmId);
  return facts.disks.find(({ path }) => path !== null && paths.includes(path))?.target ?? null;
}

function diskSteps(order: DiskOrder, services: RestoreServices): Step[] {
  const { parts } = services;
  const { access, definer, files } = parts;
  const { vmId, project } = order;
  const requireThere = async () => {
    if (!(await access.isDefined(vmId)))
      throw new AppError('not_found', { detail: `The VM "${order.vmName}" is not there any more.` });
  };
  const redefine = async (edits: Parameters<typeof editDomain>[1], isUndo: boolean) => {
    const xml = await access.secretXml(vmId);
    await definer.define(editDomain(xml, edits), { vmId, project, before: xml, isUndo, deadlineMs: DEFINE_MS });
  };

  const prepare: Step = {
    name: 'prepare',
    title: 'Prepare the storage',
    async act(context) {
      await requireThere();
      await parts.prepareStorage(context.signal);
    },
  };
  const attach: Step = {
    name: 'attach',
    title: 'Add the disk to the VM',
    check: async ({ operationId }) => (await targetOf(order, operationId, services)) !== null,
    async act({ operationId }) {
      await requireThere();
      for (const { format } of order.disks)
        await redefine({ addDisks: [{ path: files.disk(operationId, 0, format), format }] }, false);
    },
    async compensate({ operationId }) {
      if (!(await access.isDefined(vmId))) return;
      const target = await targetOf(order, operationId, services);
      if (target !== null) await redefine({ removeDisks: [target] }, true);
    },
  };
  const publish: Step = { name: 'publish', title: 'Show the VM', act: () => parts.show(vmId) };
  return [prepare, disksStep(order, services), attach, publish];
}
