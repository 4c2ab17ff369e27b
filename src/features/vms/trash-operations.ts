/** Brings a VM back from the trash, or deletes it for good. */

import { rm, rmdir } from 'node:fs/promises';
import { z } from 'zod';
import { factsOf } from '#features/inventory/index.ts';
import { defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { AppError, hasErrno } from '#kernel/errors.ts';
import { element, serialize } from '#libvirt/index.ts';
import { dependants } from './backing-files.ts';
import { nameTaken } from './create-order.ts';
import { defineAgain, moveAll, putRow, requireRow } from './delete-operation.ts';
import { exists } from './disk-files.ts';
import type { VmServices } from './services.ts';
import type { TrashRow } from './trash-store.ts';

export const trashInputSchema = z.object({
  trashId: z.string(),
  vmId: z.string(),
  name: z.string(),
  /** What libvirt called it; absent in operations of before there were projects, where it is the name. */
  domainName: z.string().optional(),
});
export type TrashInput = z.infer<typeof trashInputSchema>;

export function restoreVmOperation(services: VmServices): OperationDefinition<TrashInput> {
  const { access, known, libvirt, storage, trash, files } = services;
  return defineOperation({
    kind: 'vm.restore',
    permission: 'vm.delete',
    input: trashInputSchema,
    title: (input) => `Restore ${input.name}`,
    object: (input) => ({ type: 'vm', id: input.vmId, name: input.name }),
    locks: (input) => [
      `vm:${input.vmId}`,
      `vm-name:${input.domainName ?? input.name}`,
      `trash:${input.trashId}`,
      ...macsOf(trash.get(input.trashId)).map((mac) => `mac:${mac}`),
    ],
    charges: ({ trashId }) => services.charges.restore(trash.get(trashId)),
    steps: ({ trashId, vmId, name }): Step[] => [
      {
        name: 'move',
        title: 'Move the disks back',
        async act() {
          const row = requireRow(services, trashId);
          for (const file of row.files) {
            // A lost log is no reason to keep a VM from coming back; a lost disk is.
            if (!(await exists(file.to)) && !(await exists(file.from)) && !file.from.includes('.log')) {
              throw new AppError('files_missing', {
                detail: `The file ${file.from.slice(file.from.lastIndexOf('/') + 1)} of "${name}" is neither in the trash nor in its place.`,
              });
            }
          }
          await moveAll(row, 'from');
        },
        async compensate() {
          const row = trash.get(trashId);
          if (row && !row.isTakenAway) await moveAll(row, 'to');
        },
      },
      {
        name: 'define',
        title: 'Define the VM again',
        check: () => access.isDefined(vmId),
        async act() {
          const row = requireRow(services, trashId);
          if ((await access.holderOfName(row.name)) !== null) throw nameTaken(name);
          requireFreeMacs(row, services);
          await putRow(row, services);
          await defineAgain(row, services, false);
        },
        async compensate() {
          // Out of the trash it is restored, whatever failed after that.
          if (trash.get(trashId) === null) return;
          if (await access.isDefined(vmId)) await libvirt.domains.undefine(vmId, { leftovers: 'keep' });
          await known.rows.remove(vmId);
          await known.refresh(vmId);
        },
      },
      {
        name: 'release',
        title: 'Take it from the trash',
        async act() {
          await dropEmptyFolder(files.trash(trashId));
          await storage.rescanOwnPool();
          await known.refresh(vmId);
          await trash.remove(trashId);
        },
      },
    ],
    result: async (input) => ({ vmId: input.vmId, name: input.name }),
  });
}

/** Disks that were left in their place may be in use again: by the VM itself, or as what disks of another build upon.
 *  @throws AppError unavailable while libvirt does not tell; wrong_state naming who needs them */
async function requireUnneeded(row: TrashRow, { access, known, projects }: VmServices): Promise<void> {
  const { name, project } = projects.ofDomain(row.name);
  if (known.staleSince !== null)
    throw new AppError('unavailable', {
      detail: `Whether other VMs need the disks of "${name}" is not known: libvirt does not answer.`,
    });
  if (await access.isDefined(row.vmId))
    throw new AppError('wrong_state', {
      detail: `"${name}" is defined in libvirt again, so nothing of it was deleted.`,
      hint: 'It leaves the trash by itself within a minute.',
    });
  const paths = row.files.map(({ from }) => from);
  const users = await dependants(row.vmId, project, paths, known);
  if (users.length > 0)
    throw new AppError('wrong_state', {
      detail: `Disks of other VMs build upon the disks of "${name}": ${users.slice(0, 5).join(', ')}.`,
      hint: 'Delete those VMs first, or make their disks whole (`virsh blockpull`).',
    });
}

/** Two machines with one address disturb each other, and libvirt does not refuse it.
 *  @throws AppError already_exists, naming the VM that has an address of the one in the trash if it is of the same project */
export function requireFreeMacs(
  row: TrashRow,
  { known, projects }: { readonly known: Pick<VmServices['known'], 'vms'>; readonly projects: VmServices['projects'] },
): void {
  const macs = macsOf(row);
  const { name, project } = projects.ofDomain(row.name);
  for (const vm of known.vms()) {
    const taken = vm.nics.find(({ mac }) => macs.includes(mac));
    if (!taken || vm.id === row.vmId) continue;
    const holder = vm.project === project ? `The VM "${vm.name}"` : 'A VM of another project';
    throw new AppError('already_exists', {
      detail: `${holder} has the address ${taken.mac} of "${name}" now.`,
      hint: 'Delete that one or give it another address, then restore.',
    });
  }
}

function macsOf(row: TrashRow | null): readonly string[] {
  return row === null ? [] : factsOf(row.xml).nics.map(({ mac }) => mac);
}

export function purgeVmOperation(services: VmServices): OperationDefinition<TrashInput> {
  const { access, known, libvirt, definer, projects, trash, files } = services;
  return defineOperation({
    kind: 'vm.purge',
    permission: 'vm.delete',
    input: trashInputSchema,
    title: (input) => `Delete ${input.name} for good`,
    object: (input) => ({ type: 'trash', id: input.trashId, name: input.name }),
    vm: ({ vmId }) => vmId,
    locks: (input) => [`vm:${input.vmId}`, `trash:${input.trashId}`],
    charges: ({ trashId }) => services.charges.purge(trash.get(trashId)),
    steps: ({ trashId, vmId, name: vmName, domainName }): Step[] => [
      {
        name: 'tpm',
        title: 'Delete the TPM state',
        // libvirt keeps it outside of our folders and deletes it only together with a definition, so there is one for a moment.
        check: async () => trash.get(trashId)?.hasTpm !== true,
        async act() {
          const { project } = projects.ofDomain(domainName ?? vmName);
          const name = projects.domainName(project, standInName(vmId));
          const holder = await access.holderOfName(name);
          // The VM exists again (defined by hand, for example): then the TPM is in use.
          if (holder === null && (await access.isDefined(vmId))) return;
          if (holder === null)
            await definer.define(tpmOnlyXml(name, vmId), { vmId, project, before: null, validate: false });
          await libvirt.domains.undefine(vmId, { leftovers: 'delete' });
        },
      },
      {
        name: 'files',
        title: 'Delete the disks',
        async check() {
          const row = trash.get(trashId);
          return row?.isTakenAway !== true && !(await exists(files.trash(trashId)));
        },
        async act() {
          const row = trash.get(trashId);
          // Files that were left in their place may be another VM's by now.
          if (row?.isTakenAway) {
            await requireUnneeded(row, services);
            await moveAll({ ...row, files: row.files.filter(({ from }) => known.fileUsers(from).length === 0) }, 'to');
          }
          await rm(files.trash(trashId), { recursive: true, force: true });
        },
      },
      { name: 'release', title: 'Take it from the trash', act: () => trash.remove(trashId) },
    ],
    result: async (input) => ({ name: input.name }),
  });
}

/** What a purge defines for a moment under the VM's UUID; in libvirt with the prefix of its project. */
export function standInName(vmId: string): string {
  return `purge-${vmId}`;
}

async function dropEmptyFolder(path: string): Promise<void> {
  try {
    await rmdir(path);
  } catch (error) {
    // A VM without files of ours has no folder; what somebody put into one is not ours to delete.
    if (!hasErrno(error, 'ENOENT', 'ENOTEMPTY')) throw error;
  }
}

function tpmOnlyXml(name: string, vmId: string): string {
  return serialize(
    element(
      'domain',
      { type: 'qemu' },
      element('name', {}, name),
      element('uuid', {}, vmId),
      element('memory', { unit: 'MiB' }, 16),
      element('os', {}, element('type', { arch: 'x86_64', machine: 'q35' }, 'hvm')),
      element(
        'devices',
        {},
        element('tpm', { model: 'tpm-crb' }, element('backend', { type: 'emulator', version: '2.0' })),
      ),
    ),
  );
}
