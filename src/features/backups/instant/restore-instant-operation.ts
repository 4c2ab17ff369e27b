/** Makes a new VM of a restore point that runs at once: its disks are empty overlays, and what it reads comes from the restore point through
 *  an exporter. The data is copied in behind it by an operation of its own (`copy-operation.ts`), which is begun by the keeper. */

import { rm } from 'node:fs/promises';
import { defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { exists, publishFile, quarantineFile } from '#features/vms/index.ts';
import { errorPolicies } from '#libvirt/index.ts';
import type { BootClock } from '#platform/boot-clock.ts';
import { giveToQemu, makeOverlay } from '#platform/qemu-access.ts';
import type { Exporters } from '../exporter/exporters.ts';
import type { ExportOrder } from '../exporter/files.ts';
import { pointLock, type RestoreServices, restoreCharges, restoreSteps } from '../restore-operation.ts';
import { type RestoreOrder, restoreOrderSchema } from '../restore-order.ts';
import type { InstantRows } from './rows.ts';
import type { InstantDisk, InstantRow } from './tables.ts';

/** libvirt makes QEMU's user the owner while the VM is on. How far the copying is stands in the file only, so a hyperd that is no more than
 *  a member of QEMU's group needs the file to be the group's. */
const MODE = process.getuid?.() === 0 ? 0o600 : 0o660;

export const INSTANT_RESTORE = 'backup.restore-instant';

export interface InstantServices extends RestoreServices {
  readonly rows: InstantRows;
  readonly exporters: Exporters;
  readonly bootClock: BootClock;
  exportOrder(row: Pick<InstantRow, 'point_id' | 'repository_id' | 'disks'>): Promise<ExportOrder>;
  /** Group of QEMU's user; null = libvirt does not tell. */
  qemuGid(): Promise<number | null>;
  /** It runs: whoever copies may begin. */
  running(): void;
}

export function restoreInstantOperation(services: InstantServices): OperationDefinition<RestoreOrder> {
  return defineOperation({
    kind: INSTANT_RESTORE,
    permission: 'backup.restore',
    input: restoreOrderSchema,
    title: ({ name }) => `Run ${name} from its restore point`,
    object: ({ vmId, name }) => ({ type: 'vm', id: vmId, name }),
    locks: ({ vmId, domainName, macs }) => [
      `vm:${vmId}`,
      `vm-name:${domainName}`,
      ...Object.values(macs).map((mac) => `mac:${mac}`),
    ],
    shares: ({ pointId, repositoryId }) => [pointLock(pointId), `repository:${repositoryId}`],
    charges: restoreCharges,
    steps: (order) => [
      ...restoreSteps(order, services, [exportStep(order, services), overlaysStep(order, services)]),
      handOver(order, services),
    ],
    result: async ({ vmId, name }) => ({ vmId, name }),
  });
}

function exportStep(order: RestoreOrder, services: InstantServices): Step {
  const { rows, exporters, repositories } = services;
  return {
    name: 'export',
    title: 'Serve the restore point',
    async act({ operationId }) {
      const repository = await repositories.open(order.repositoryId);
      const policies = errorPolicies((await repository.readBlob(order.pointId, 'domainXml')).toString('utf8'));
      const row: InstantRow = {
        vm_id: order.vmId,
        operation_id: operationId,
        name: order.name,
        project: order.project,
        point_id: order.pointId,
        repository_id: order.repositoryId,
        disks: JSON.stringify(
          order.disks.map(({ target, sizeBytes }) => ({
            target,
            sizeBytes,
            policy: policies[target] ?? { write: null, read: null },
            isWhole: false,
          })) satisfies InstantDisk[],
        ),
        state: 'making',
        problem: null,
        boot_id: (await services.bootClock())?.id ?? '',
        started_at: services.now().toISOString(),
      };
      await rows.put(row);
      await exporters.ensure(operationId, await services.exportOrder(row));
    },
    async compensate({ operationId }) {
      await rows.remove(order.vmId);
      await exporters.end(operationId);
    },
  };
}

function overlaysStep(order: RestoreOrder, { exporters, parts, qemuGid }: InstantServices): Step {
  const { files } = parts;
  const pathsOf = (operationId: string) => order.disks.map((_disk, n) => files.disk(operationId, n, 'qcow2'));
  return {
    name: 'overlays',
    title: order.disks.length === 1 ? 'Make the disk' : 'Make the disks',
    check: async ({ operationId }) => (await Promise.all(pathsOf(operationId).map(exists))).every((isThere) => isThere),
    async act({ operationId, signal }) {
      const { socketPath } = exporters.folder(operationId);
      for (const [n, path] of pathsOf(operationId).entries()) {
        const disk = order.disks[n];
        // One that is there may have been written to by its guest already.
        if (!disk || (await exists(path))) continue;
        await rm(`${path}.part`, { force: true });
        await makeOverlay(`${path}.part`, { socketPath, exportName: disk.target, sizeBytes: disk.sizeBytes }, signal);
        const gid = await qemuGid();
        await giveToQemu(`${path}.part`, gid === null ? null : { gid }, MODE);
        await publishFile(`${path}.part`, path, MODE);
      }
    },
    async compensate({ operationId }) {
      for (const path of pathsOf(operationId)) {
        await rm(`${path}.part`, { force: true });
        await quarantineFile(path, files.quarantine(operationId));
      }
    },
  };
}

/** The last step: from here on nothing takes the VM back. */
function handOver(order: RestoreOrder, { rows, running }: InstantServices): Step {
  return {
    name: 'hand-over',
    title: 'Begin to copy its data',
    async act() {
      await rows.change(order.vmId, { state: 'copying' });
      running();
    },
  };
}
