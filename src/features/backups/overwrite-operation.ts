/** Sets a VM that is off back to a restore point. Its disks are written anew beside those of now; then the definition goes over to them, and
 *  those of before are kept in the quarantine for some days. A kill at any moment leaves the VM with one whole set of disks. */

import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { defineOperation, type OperationDefinition, type Step, type StepContext } from '#features/operations/index.ts';
import { exists, moveFile, quarantineFile } from '#features/vms/index.ts';
import { AppError } from '#kernel/errors.ts';
import { readDomain } from '#libvirt/index.ts';
import { disksStep, pointLock, type RestoreServices, restoreCharges, restoredXml } from './restore-operation.ts';
import { type RestoreOrder, restoreOrderSchema } from './restore-order.ts';

const formerSchema = z.object({ xml: z.string(), disks: z.array(z.string()) });
const FORMER = 'former';
const DEFINE_MS = 60_000;

export function overwriteOperation(services: RestoreServices): OperationDefinition<RestoreOrder> {
  return defineOperation({
    kind: 'backup.overwrite',
    permission: 'backup.overwrite',
    input: restoreOrderSchema,
    title: ({ name }) => `Set ${name} back`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId }) => [`vm:${vmId}`],
    shares: ({ pointId, repositoryId }) => [pointLock(pointId), `repository:${repositoryId}`],
    charges: restoreCharges,
    steps: (order) => overwriteSteps(order, services),
    result: async ({ vmId, name }, { operationId }) => ({ vmId, name, keptIn: operationId }),
  });
}

function overwriteSteps(order: RestoreOrder, services: RestoreServices): Step[] {
  const { parts } = services;
  const { access, files } = parts;
  const { vmId } = order;
  const formerOf = (context: StepContext) => formerSchema.parse(context.recall(FORMER));
  const requireOff = async () => {
    if (await access.isOn(vmId))
      throw new AppError('wrong_state', {
        detail: `"${order.name}" is on.`,
        hint: 'Shut it down first: its disks are exchanged.',
      });
  };

  const look: Step = {
    name: 'look',
    title: 'Look at the VM',
    async act(context) {
      await requireOff();
      await parts.prepareStorage(context.signal);
      const xml = await access.secretXml(vmId);
      const own = readDomain(xml).disks.flatMap(({ source }) =>
        source !== null && files.isOwnDisk(source) ? source : [],
      );
      await context.remember(FORMER, { xml, disks: own });
    },
  };
  const nvram: Step = {
    name: 'nvram',
    title: 'Put back the firmware variables',
    async act(context) {
      await requireOff();
      if (!order.hasNvram || !order.blobs.includes('nvram')) return;
      const path = files.nvram(vmId);
      const kept = join(files.quarantine(context.operationId), basename(path));
      await mkdir(dirname(kept), { recursive: true, mode: 0o700 });
      if ((await exists(path)) && !(await exists(kept))) await copyFile(path, kept);
      const repository = await services.repositories.open(order.repositoryId);
      await writeFile(path, await repository.readBlob(order.pointId, 'nvram'), { mode: 0o600 });
    },
    async compensate({ operationId }) {
      const path = files.nvram(vmId);
      const kept = join(files.quarantine(operationId), basename(path));
      if (await exists(kept)) await copyFile(kept, path);
    },
  };
  const define: Step = {
    name: 'define',
    title: 'Go over to the disks of the restore point',
    check: async ({ operationId }) => (await access.storedFacts(vmId)).operationId === operationId,
    async act(context) {
      await requireOff();
      const { xml: before } = formerOf(context);
      const repository = await services.repositories.open(order.repositoryId);
      const xml = (await repository.readBlob(order.pointId, 'domainXml')).toString('utf8');
      await parts.definer.define(restoredXml(order, xml, context.operationId, services), {
        vmId,
        project: order.project,
        before,
        mayOpenNics: order.mayOpenNics,
        deadlineMs: DEFINE_MS,
      });
    },
    async compensate(context) {
      if (context.recall(FORMER) === undefined) return;
      if ((await access.storedFacts(vmId)).operationId !== context.operationId) return;
      await parts.definer.define(formerOf(context).xml, {
        vmId,
        project: order.project,
        before: null,
        isUndo: true,
        deadlineMs: DEFINE_MS,
      });
    },
  };
  const keep: Step = {
    name: 'keep',
    title: 'Keep the disks of before',
    async act(context) {
      for (const path of formerOf(context).disks) await quarantineFile(path, files.quarantine(context.operationId));
    },
    async compensate(context) {
      for (const path of formerOf(context).disks) {
        const kept = join(files.quarantine(context.operationId), basename(path));
        if (await exists(kept)) await moveFile(kept, path);
      }
    },
  };
  const publish: Step = { name: 'publish', title: 'Show the VM', act: () => parts.show(vmId) };
  return [look, disksStep(order, services), nvram, define, keep, publish];
}
