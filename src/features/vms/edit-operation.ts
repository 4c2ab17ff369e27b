/** Carries out an edit: the stored definition by compare-and-set, then what can be done to the running guest, then name and marks.
 *  Undo is the same edit backwards, so it leaves alone what somebody else changed meanwhile. */

import { imageLock } from '#features/images/index.ts';
import { type DomainFacts, factsOf, filterUse } from '#features/inventory/index.ts';
import { defineOperation, type OperationDefinition, type Step } from '#features/operations/index.ts';
import { AppError, toAppError } from '#kernel/errors.ts';
import { KIB } from '#kernel/units.ts';
import { type DomainEdits, editDomain, element, isNotFound, serialize } from '#libvirt/index.ts';
import { nameTaken } from './create-order.ts';
import { type Forbidden, forbiddenSchema } from './domain-allowed.ts';
import { type DefinitionEdit, type EditOrder, editOrderSchema } from './edit-order.ts';
import type { VmServices } from './services.ts';

export function editVmOperation(services: VmServices): OperationDefinition<EditOrder> {
  return defineOperation({
    kind: 'vm.edit',
    permission: 'vm.configure',
    input: editOrderSchema,
    title: (order) => `Edit ${order.vmName}`,
    object: (order) => ({ type: 'vm', id: order.vmId, name: order.vmName }),
    locks: (order) => [`vm:${order.vmId}`, ...(order.rename ? [`vm-name:${order.rename.to}`] : [])],
    shares: (order) => order.imageIds.map(imageLock),
    charges: services.charges.edit,
    steps: (order) => editSteps(order, services),
    result: async (order) => ({ vmId: order.vmId, name: order.newName ?? order.rename?.to ?? order.vmName }),
  });
}

/** What the definition had that VMs of a project may not have, so that undoing the edit can bring it back. */
const FOUND = 'found';

function editSteps(order: EditOrder, services: VmServices): Step[] {
  const { access, known, libvirt, definer, projects } = services;
  const { vmId, rename } = order;

  const redefine = async (edit: DefinitionEdit, xml: string, before: readonly Forbidden[], isUndo: boolean) => {
    const facts = factsOf(xml);
    const { project } = projects.ofDomain(facts.name);
    await definer.define(editDomain(xml, domainEdits(edit, facts)), {
      vmId,
      project,
      before,
      isUndo,
      // Asked for with the request.
      mayOpenNics: edit.nicFilters !== undefined,
    });
  };
  const foundIn = (xml: string) =>
    definer.forbiddenIn(xml, { vmId, project: projects.ofDomain(factsOf(xml).name).project });
  const renameTo = async (to: string, isUndo: boolean) => {
    const xml = await access.secretXml(vmId);
    await definer.rename(xml, to, { vmId, project: projects.ofDomain(to).project, before: xml, isUndo });
  };

  const definition: Step = {
    name: 'definition',
    title: 'Change the stored definition',
    check: async () => isApplied(await access.storedFacts(vmId), order.definition),
    async act(context) {
      if ((await access.storedHash(vmId)) !== order.baseHash) {
        throw new AppError('conflict', {
          detail: `Somebody changed "${order.vmName}" meanwhile, so nothing was changed.`,
        });
      }
      const xml = await access.secretXml(vmId);
      const found = foundIn(xml);
      await context.remember(FOUND, found);
      await redefine(order.definition, xml, found, false);
    },
    async compensate(context) {
      if (!isApplied(await access.storedFacts(vmId), order.definition)) return;
      const xml = await access.secretXml(vmId);
      const found = forbiddenSchema.array().catch([]).parse(context.recall(FOUND));
      await redefine(order.undo, xml, [...foundIn(xml), ...found], true);
    },
  };

  const live: Step = {
    name: 'live',
    title: 'Change the running VM',
    act: () => applyLive(order, order.live, services),
    compensate: () => applyLive(order, pick(order.undo, order.live), services),
  };

  const name: Step = {
    name: 'rename',
    title: 'Rename',
    check: async () => (await access.holderOfName(rename?.to ?? '')) === vmId,
    async act() {
      if (!rename) return;
      try {
        await renameTo(rename.to, false);
      } catch (error) {
        throw (await access.holderOfName(rename.to)) === null ? error : nameTaken(order.newName ?? rename.to);
      }
    },
    async compensate() {
      if (rename && (await access.holderOfName(rename.to)) === vmId) await renameTo(rename.from, true);
    },
  };

  const marks = async (direction: 'to' | 'from') => {
    if (order.autostart) await libvirt.domains.setAutostart(vmId, order.autostart[direction]);
    if (order.protection || order.tags) {
      const vm = known.vm(vmId);
      const row = known.row(vmId) ?? {
        uuid: vmId,
        desired: vm?.desired ?? 'off',
        isProtected: false,
        tags: [],
        managed: false,
        createdAt: null,
        operationId: null,
        moved: null,
      };
      await known.rows.put({
        ...row,
        isProtected: order.protection?.[direction] ?? row.isProtected,
        tags: order.tags?.[direction] ?? row.tags,
      });
    }
  };
  const settings: Step = {
    name: 'settings',
    title: 'Keep the settings',
    act: () => marks('to'),
    compensate: () => marks('from'),
  };

  const publish: Step = {
    name: 'publish',
    title: 'Show the VM',
    act: async () => void (await known.refresh(vmId)),
    compensate: async () => void (await known.refresh(vmId)),
  };

  return [
    ...(isEmpty(order.definition) ? [] : [definition]),
    ...(isEmpty(order.live) ? [] : [live]),
    ...(rename ? [name] : []),
    ...(order.autostart || order.protection || order.tags ? [settings] : []),
    publish,
  ];
}

function isEmpty(edit: DefinitionEdit): boolean {
  return Object.values(edit).every((value) => value === undefined);
}

/** The fields of `from` that `like` has. */
function pick(from: DefinitionEdit, like: DefinitionEdit): DefinitionEdit {
  return Object.fromEntries(Object.entries(from).filter(([field]) => field in like));
}

/** A definition that leaves room to grow keeps its maximum as long as the new value fits into it. */
function domainEdits(edit: DefinitionEdit, stored: DomainFacts): DomainEdits {
  const fits = (wanted: number, now: number, maximum: number) => now < maximum && wanted <= maximum;
  const { vcpus, memoryBytes } = edit;
  return {
    ...(edit.title === undefined ? {} : { title: edit.title }),
    ...(edit.description === undefined ? {} : { description: edit.description }),
    ...(vcpus === undefined ? {} : fits(vcpus, stored.vcpus, stored.maxVcpus) ? { currentVcpus: vcpus } : { vcpus }),
    ...(memoryBytes === undefined
      ? {}
      : fits(memoryBytes, stored.memoryBytes, stored.maxMemoryBytes)
        ? { currentMemoryKib: memoryBytes / KIB }
        : { memoryKib: memoryBytes / KIB }),
    ...(edit.bootOrder === undefined ? {} : { bootOrder: edit.bootOrder }),
    ...(edit.nicFilters === undefined
      ? {}
      : {
          nicFilters: Object.fromEntries(
            Object.entries(edit.nicFilters).map(([mac, filter]) => [mac, filter && filterUse(filter)]),
          ),
        }),
    ...(edit.cdrom === undefined ? {} : { cdroms: { [edit.cdrom.target]: edit.cdrom.path } }),
  };
}

/** True when the definition says already what the edit wants: after a crash between the change and its record. */
function isApplied(facts: DomainFacts, edit: DefinitionEdit): boolean {
  const { cdrom, nicFilters } = edit;
  return (
    (edit.title === undefined || edit.title === facts.title) &&
    (edit.description === undefined || edit.description === facts.description) &&
    (edit.vcpus === undefined || edit.vcpus === facts.vcpus) &&
    (edit.memoryBytes === undefined || edit.memoryBytes === facts.memoryBytes) &&
    (edit.bootOrder === undefined || edit.bootOrder.join() === facts.bootOrder.join()) &&
    (nicFilters === undefined ||
      facts.nics.every(({ mac, filter }) => !Object.hasOwn(nicFilters, mac) || nicFilters[mac] === filter)) &&
    (cdrom === undefined || facts.disks.some((disk) => disk.target === cdrom.target && disk.path === cdrom.path))
  );
}

async function applyLive(
  { vmId, vmName }: EditOrder,
  edit: DefinitionEdit,
  { access, known, libvirt }: VmServices,
): Promise<void> {
  // It went off meanwhile: its next start takes the stored definition.
  if (!(await access.isOn(vmId))) return;
  const { domains } = libvirt;
  const live = { live: true };
  if (edit.title !== undefined) await domains.setText(vmId, 'title', edit.title, live);
  if (edit.description !== undefined) await domains.setText(vmId, 'description', edit.description, live);
  if (edit.vcpus !== undefined) await domains.setVcpus(vmId, edit.vcpus, live);
  if (edit.memoryBytes !== undefined) await domains.setMemory(vmId, edit.memoryBytes / KIB, live);
  if (edit.cdrom !== undefined) {
    const { target, path } = edit.cdrom;
    const drive = known.facts(vmId)?.disks.find((disk) => disk.target === target);
    try {
      await domains.updateDevice(vmId, driveXml(target, drive?.bus ?? 'sata', path), live);
    } catch (error) {
      if (isNotFound(error)) throw error;
      throw new AppError('wrong_state', {
        detail: `The drive ${target} of "${vmName}" does not open: the guest uses it.`,
        hint: 'Eject the medium in the guest first (`eject`), then try again.',
        cause: toAppError(error),
      });
    }
  }
}

/** libvirt finds the drive by target and bus, and changes its medium only. */
function driveXml(target: string, bus: string, path: string | null): string {
  return serialize(
    element(
      'disk',
      { type: 'file', device: 'cdrom' },
      element('driver', { name: 'qemu', type: 'raw' }),
      path !== null && element('source', { file: path }),
      element('target', { dev: target, bus }),
      element('readonly'),
    ),
  );
}
