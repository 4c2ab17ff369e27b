/** Turns an edit into an order: what changes in the stored definition, what can be done to the running guest at once, and how to undo it. */

import { z } from 'zod';
import type { Effect } from '#contract/common.ts';
import { type NicFilter, nicFilterSchema, type VmEdit, type VmPlan } from '#contract/vms.ts';
import type { DomainFacts } from '#features/inventory/index.ts';
import { AppError, type FieldProblem } from '#kernel/errors.ts';
import { formatBytes, MIB } from '#kernel/units.ts';
import { nameTaken, refusal } from './create-order.ts';
import { FILTERED_KINDS } from './filtered-nics.ts';
import { changedNicFilter, type FilterWorld } from './nic-filter-order.ts';
import type { ImageLibrary } from './ports.ts';

/** Fields of the stored definition; absent = unchanged. `cdrom.path` null = empty drive. */
const definitionEditSchema = z.object({
  title: z.string().nullable().optional(),
  description: z.string().nullable().optional(),
  vcpus: z.number().optional(),
  memoryBytes: z.number().optional(),
  bootOrder: z.array(z.string()).optional(),
  cdrom: z.object({ target: z.string(), path: z.string().nullable() }).optional(),
  /** By MAC; null = none. */
  nicFilters: z.record(z.string(), nicFilterSchema.nullable()).optional(),
});
export type DefinitionEdit = z.infer<typeof definitionEditSchema>;

export const editOrderSchema = z.object({
  vmId: z.string(),
  /** At the time of the request. */
  vmName: z.string(),
  /** Hash of the stored definition that the change was made for. */
  baseHash: z.string(),
  /** Names in libvirt. */
  rename: z.object({ from: z.string(), to: z.string() }).nullable(),
  /** What people call it afterwards. */
  newName: z.string().nullable().default(null),
  definition: definitionEditSchema,
  undo: definitionEditSchema,
  /** The part that is also done to the running guest. */
  live: definitionEditSchema,
  autostart: z.object({ from: z.boolean(), to: z.boolean() }).nullable(),
  protection: z.object({ from: z.boolean(), to: z.boolean() }).nullable(),
  tags: z
    .object({ from: z.array(z.string()), to: z.array(z.string()) })
    .nullable()
    .default(null),
  /** What the VM holds of its project's quota afterwards; absent = as before. */
  holds: z.object({ vcpus: z.number().optional(), memoryBytes: z.number().optional() }).default({}),
  /** Images that are put into drives. */
  imageIds: z.array(z.string()).default([]),
});
export type EditOrder = z.infer<typeof editOrderSchema>;

export interface EditTarget {
  readonly vmId: string;
  /** As people call it; `stored.name` is its name in libvirt. */
  readonly name: string;
  /** Of the running guest, or of the definition when it is off. */
  readonly now: DomainFacts;
  /** Of the stored definition. */
  readonly stored: DomainFacts;
  readonly definitionHash: string;
  readonly isOn: boolean;
  readonly isAutostart: boolean;
  readonly isProtected: boolean;
  readonly tags: readonly string[];
}

export interface EditWorld {
  readonly images: ImageLibrary;
  readonly totalMemoryBytes: number;
  isNameTaken(name: string): boolean;
  domainName(name: string): string;
  describeFile(path: string): { readonly name: string };
  readonly filters: FilterWorld;
}

export interface ResolvedEdit {
  readonly order: EditOrder;
  readonly changes: VmPlan['changes'];
  readonly warnings: string[];
}

/** @throws AppError invalid_input with every field that does not fit; already_exists for a taken name; wrong_state for a rename of a running VM */
export function resolveEdit(edit: VmEdit, target: EditTarget, world: EditWorld): ResolvedEdit {
  const { stored, now, isOn } = target;
  const problems: FieldProblem[] = [];
  const warnings: string[] = [];
  const changes: VmPlan['changes'] = [];
  const definition: DefinitionEdit = {};
  const undo: DefinitionEdit = {};
  const live: DefinitionEdit = {};
  const imageIds: string[] = [];
  const change = (field: string, before: string | null, after: string | null, effect: Effect) =>
    changes.push({ field, now: before, after, effect });
  const whenOff: Effect = isOn ? 'next_boot' : 'live';

  for (const field of ['title', 'description'] as const) {
    const wanted = edit[field] === '' ? null : edit[field];
    if (wanted === undefined || wanted === stored[field]) continue;
    definition[field] = wanted;
    undo[field] = stored[field];
    if (isOn) live[field] = wanted;
    change(field, stored[field], wanted, 'live');
  }
  if (edit.vcpus !== undefined && (edit.vcpus !== stored.vcpus || (isOn && edit.vcpus !== now.vcpus))) {
    const isLive = isOn && edit.vcpus > now.vcpus && edit.vcpus <= now.maxVcpus;
    definition.vcpus = edit.vcpus;
    undo.vcpus = stored.vcpus;
    if (isLive) live.vcpus = edit.vcpus;
    change('vcpus', String(now.vcpus), String(edit.vcpus), isLive ? 'live' : whenOff);
  }
  if (
    edit.memoryBytes !== undefined &&
    (edit.memoryBytes !== stored.memoryBytes || (isOn && edit.memoryBytes !== now.memoryBytes))
  ) {
    checkMemory(edit.memoryBytes, world.totalMemoryBytes, problems);
    const isLive = isOn && edit.memoryBytes <= now.maxMemoryBytes;
    definition.memoryBytes = edit.memoryBytes;
    undo.memoryBytes = stored.memoryBytes;
    if (isLive) live.memoryBytes = edit.memoryBytes;
    if (isLive && edit.memoryBytes < now.memoryBytes)
      warnings.push('The guest gives memory back only if it has a balloon driver; it may take a while.');
    change('memory', formatBytes(now.memoryBytes), formatBytes(edit.memoryBytes), isLive ? 'live' : whenOff);
  }
  if (edit.bootOrder !== undefined && edit.bootOrder.join() !== stored.bootOrder.join()) {
    checkBootOrder(edit.bootOrder, stored, problems);
    definition.bootOrder = edit.bootOrder;
    undo.bootOrder = [...stored.bootOrder];
    change('bootOrder', stored.bootOrder.join(', '), edit.bootOrder.join(', '), whenOff);
  }
  if (edit.cdrom !== undefined) {
    const drive = cdromChange(edit.cdrom, stored, world, problems);
    if (drive && drive.before !== drive.after) {
      if (drive.imageId !== null) imageIds.push(drive.imageId);
      definition.cdrom = { target: edit.cdrom.target, path: drive.after };
      undo.cdrom = { target: edit.cdrom.target, path: drive.before };
      if (isOn) live.cdrom = definition.cdrom;
      const nameOf = (path: string | null) => (path === null ? null : world.describeFile(path).name);
      change(`cdrom ${edit.cdrom.target}`, nameOf(drive.before), nameOf(drive.after), 'live');
    }
  }
  for (const { mac, before, after } of filterChanges(edit.nics ?? [], stored, world, problems)) {
    definition.nicFilters = { ...definition.nicFilters, [mac]: after };
    undo.nicFilters = { ...undo.nicFilters, [mac]: before };
    change(`filter ${mac}`, before, after, whenOff);
  }
  const rename =
    edit.name !== undefined && edit.name !== target.name
      ? { from: stored.name, to: world.domainName(edit.name) }
      : null;
  if (rename && edit.name !== undefined) {
    if (isOn)
      throw new AppError('wrong_state', {
        detail: 'A VM can be renamed only while it is off.',
        hint: 'Shut it down first, then rename it.',
        fields: [{ path: 'name', problem: 'the VM is running', mend: 'shut it down first' }],
      });
    if (world.isNameTaken(edit.name)) throw nameTaken(edit.name);
    change('name', target.name, edit.name, 'live');
  }
  const autostart = toggled(edit.autostart, target.isAutostart);
  if (autostart) change('autostart', yesNo(autostart.from), yesNo(autostart.to), 'live');
  const protection = toggled(edit.isProtected, target.isProtected);
  if (protection) change('isProtected', yesNo(protection.from), yesNo(protection.to), 'live');
  const tags = tagChange(edit.tags, target.tags);
  if (tags) change('tags', tags.from.join(', ') || null, tags.to.join(', ') || null, 'live');
  if (problems.length > 0) throw refusal(problems);
  return {
    order: {
      vmId: target.vmId,
      vmName: target.name,
      newName: rename ? (edit.name ?? null) : null,
      baseHash: target.definitionHash,
      rename,
      definition,
      undo,
      live,
      autostart,
      protection,
      tags,
      holds: {
        // While it runs with more than it will have after its next start, it holds the larger.
        ...(definition.vcpus === undefined
          ? {}
          : { vcpus: Math.max(definition.vcpus, isOn ? (live.vcpus ?? now.vcpus) : 0) }),
        ...(definition.memoryBytes === undefined
          ? {}
          : { memoryBytes: Math.max(definition.memoryBytes, isOn ? (live.memoryBytes ?? now.memoryBytes) : 0) }),
      },
      imageIds,
    },
    changes,
    warnings,
  };
}

function checkMemory(memoryBytes: number, totalBytes: number, problems: FieldProblem[]): void {
  if (memoryBytes > totalBytes)
    problems.push({
      path: 'memoryBytes',
      problem: `${formatBytes(memoryBytes)} is more than the host has (${formatBytes(totalBytes)})`,
      mend: 'give it less',
    });
  if (memoryBytes % MIB !== 0)
    problems.push({ path: 'memoryBytes', problem: 'it is no whole number of MiB', mend: 'use a multiple of 1048576' });
}

function checkBootOrder(order: readonly string[], stored: DomainFacts, problems: FieldProblem[]): void {
  const known = new Set([...stored.disks.map((disk) => disk.target), ...stored.nics.map((nic) => nic.mac)]);
  const seen = new Set<string>();
  for (const [n, device] of order.entries()) {
    if (!known.has(device))
      problems.push({
        path: `bootOrder.${n}`,
        problem: `the VM has no device "${device.slice(0, 40)}"`,
        mend: `use ${[...known].join(', ')}`,
      });
    else if (seen.has(device))
      problems.push({ path: `bootOrder.${n}`, problem: `"${device}" is named twice`, mend: 'name each device once' });
    seen.add(device);
  }
}

function cdromChange(
  cdrom: NonNullable<VmEdit['cdrom']>,
  stored: DomainFacts,
  world: EditWorld,
  problems: FieldProblem[],
): { before: string | null; after: string | null; imageId: string | null } | null {
  const drive = stored.disks.find((disk) => disk.target === cdrom.target && disk.device === 'cdrom');
  if (!drive) {
    const drives = stored.disks.filter((disk) => disk.device === 'cdrom').map((disk) => disk.target);
    problems.push({
      path: 'cdrom.target',
      problem: `the VM has no CD drive "${cdrom.target}"`,
      mend: drives.length > 0 ? `use ${drives.join(' or ')}` : 'it has none at all',
    });
    return null;
  }
  if (cdrom.imageId === null) return { before: drive.path, after: null, imageId: null };
  const image = world.images.get(cdrom.imageId);
  if (image?.kind !== 'iso') {
    problems.push({
      path: 'cdrom.imageId',
      problem: image ? `"${image.name}" is of kind ${image.kind}` : 'there is no such image',
      mend: 'use an ISO that `hv image list` shows',
    });
    return null;
  }
  return { before: drive.path, after: image.path, imageId: image.id };
}

function filterChanges(
  nics: NonNullable<VmEdit['nics']>,
  stored: DomainFacts,
  { filters }: EditWorld,
  problems: FieldProblem[],
): { mac: string; before: NicFilter | null; after: NicFilter }[] {
  return nics.flatMap(({ mac, filter }, n) => {
    const path = `nics.${n}`;
    const nic = stored.nics.find((candidate) => candidate.mac === mac);
    if (!nic || !FILTERED_KINDS.includes(nic.sourceType)) {
      problems.push({
        path: `${path}.mac`,
        problem: nic ? `a NIC of kind ${nic.sourceType} cannot be filtered` : `the VM has no NIC "${mac}"`,
        mend: 'use one that `hv vm show` shows on a network or bridge',
      });
      return [];
    }
    if (nics.findIndex((other) => other.mac === mac) !== n)
      problems.push({ path: `${path}.mac`, problem: 'it is named twice', mend: 'name each NIC once' });
    if (nic.filter === filter) return [];
    if (nic.filter === 'other') {
      problems.push({
        path,
        problem: 'it has a filter that another program made',
        mend: 'take that one away with the program that made it',
      });
      return [];
    }
    return [{ mac, before: nic.filter, after: changedNicFilter(`${path}.filter`, filter, nic.filter, filters) }];
  });
}

function toggled(wanted: boolean | undefined, now: boolean): { from: boolean; to: boolean } | null {
  return wanted === undefined || wanted === now ? null : { from: now, to: wanted };
}

function tagChange(
  wanted: readonly string[] | undefined,
  now: readonly string[],
): { from: string[]; to: string[] } | null {
  if (wanted === undefined) return null;
  const to = [...new Set(wanted)].sort();
  return to.join() === now.join() ? null : { from: [...now], to };
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
