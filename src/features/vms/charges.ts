/** What VMs hold of the quotas of their projects: said by their operations, and as they are seen in libvirt and in the trash. */

import type { QuotaResource } from '#contract/quota-facts.ts';
import type { Vm } from '#contract/vms.ts';
import { type DomainFacts, factsOf } from '#features/inventory/index.ts';
import type { Charge } from '#features/operations/index.ts';
import type { Existing, ExistingSource } from '#features/quotas/index.ts';
import { bytesPromised, type CreateOrder } from './create-order.ts';
import type { EditOrder } from './edit-order.ts';
import type { VmServices } from './services.ts';
import type { TrashRow } from './trash-store.ts';

/** What of these resources a VM holds; those that are not named stay as they are. */
type Amounts = Partial<Record<'vms' | 'vcpus' | 'memory' | 'disk', number>>;

function charges(project: string, vmId: string, amounts: Amounts): Charge[] {
  const all: readonly (readonly [QuotaResource, number | undefined])[] = [
    ['vms', amounts.vms],
    ['vcpus', amounts.vcpus],
    ['memory', amounts.memory],
    ['disk', amounts.disk],
  ];
  return all.flatMap(([resource, amount]) =>
    amount === undefined ? [] : [{ project, resource, objectId: vmId, amount }],
  );
}

export interface VmCharges {
  create(order: CreateOrder): readonly Charge[];
  edit(order: EditOrder): readonly Charge[];
  /** All that it holds, to another project. */
  move(vmId: string, project: string): readonly Charge[];
  /** Into the trash: its disks are still there. */
  delete(vmId: string): readonly Charge[];
  restore(row: TrashRow | null): readonly Charge[];
  purge(row: TrashRow | null): readonly Charge[];
}

export function createVmCharges({
  known,
  projects,
}: Pick<VmServices, 'projects'> & {
  readonly known: Pick<VmServices['known'], 'vm' | 'facts' | 'storedFacts'>;
}): VmCharges {
  const ofDomain = (name: string) => projects.ofDomain(name).project;
  const ofVm = (vmId: string, amounts: Amounts) => {
    const vm = known.vm(vmId);
    return vm === null ? [] : charges(vm.project, vmId, amounts);
  };
  return {
    create: (order) =>
      charges(ofDomain(order.domainName ?? order.name), order.vmId, {
        vms: 1,
        vcpus: order.vcpus,
        memory: order.memoryBytes,
        disk: bytesPromised(order),
      }),
    edit: ({ vmId, holds }) =>
      ofVm(vmId, {
        ...(holds.vcpus === undefined ? {} : { vcpus: holds.vcpus }),
        ...(holds.memoryBytes === undefined ? {} : { memory: holds.memoryBytes }),
      }),
    move(vmId, project) {
      const vm = known.vm(vmId);
      if (vm === null) return [];
      const { disk, ...amounts } = amountsOf(vm, known);
      return charges(project, vmId, disk === null ? amounts : { ...amounts, disk });
    },
    delete: (vmId) => ofVm(vmId, { vms: 0, vcpus: 0, memory: 0 }),
    restore(row) {
      if (row === null) return [];
      const facts = factsOf(row.xml);
      return charges(ofDomain(row.name), row.vmId, { vms: 1, vcpus: facts.vcpus, memory: facts.memoryBytes });
    },
    purge: (row) => (row === null ? [] : charges(ofDomain(row.name), row.vmId, { disk: 0 })),
  };
}

/** What VMs hold, as libvirt and the trash show it. */
export function vmsThatExist({ known, trash, projects }: VmServices): ExistingSource {
  const whole = (project: string, vmId: string, amounts: Readonly<Record<keyof Amounts, number | null>>): Existing[] =>
    (['vms', 'vcpus', 'memory', 'disk'] as const).map((resource) => ({
      project,
      resource,
      objectId: vmId,
      amount: amounts[resource],
      owner: null,
    }));
  const NOT_KNOWN = { vms: null, vcpus: null, memory: null, disk: null };

  return {
    resources: ['vms', 'vcpus', 'memory', 'disk'],
    list() {
      if (known.staleSince !== null) return null;
      const seen = new Set<string>();
      const existing: Existing[] = [];
      for (const vm of known.vms()) {
        seen.add(vm.id);
        existing.push(...whole(vm.project, vm.id, amountsOf(vm, known)));
      }
      for (const row of trash.list()) {
        if (seen.has(row.vmId)) continue;
        seen.add(row.vmId);
        // How large its disks are is known from before; nobody changes them there.
        const { project } = projects.ofDomain(row.name);
        existing.push(...whole(project, row.vmId, { vms: 0, vcpus: 0, memory: 0, disk: null }));
      }
      // Another program took it a moment ago, or its definition is on its way. One that lives on another host holds nothing here.
      for (const { uuid, moved } of known.rows.all())
        if (!seen.has(uuid) && moved === null) existing.push(...whole('', uuid, NOT_KNOWN));
      return existing;
    },
  };
}

/** What a VM holds, running and at its next start. */
function amountsOf(vm: Vm, known: Pick<VmServices['known'], 'facts' | 'storedFacts'>) {
  const next = known.storedFacts(vm.id);
  return {
    vms: 1,
    vcpus: Math.max(vm.vcpus, next?.vcpus ?? 0),
    memory: Math.max(vm.memoryBytes, next?.memoryBytes ?? 0),
    disk: diskBytes(vm.disks, known.facts(vm.id), next),
  };
}

/** Sizes of the disks together; null while one of them is not known. */
function diskBytes(
  disks: readonly { readonly device: string; readonly sizeBytes: number | null }[],
  now: DomainFacts | null,
  next: DomainFacts | null,
): number | null {
  const isThere = new Set(now?.disks.map(({ path }) => path));
  if (next?.disks.some(({ device, path }) => device === 'disk' && !isThere.has(path))) return null;
  let sum = 0;
  for (const { device, sizeBytes } of disks) {
    if (device !== 'disk') continue;
    if (sizeBytes === null) return null;
    sum += sizeBytes;
  }
  return sum;
}

/** Tells when a VM may hold something else than before; its figures change all the time, and these seldom.
 *  @param noticed called for each such change */
export function createChargeWatch(noticed: () => void) {
  const seen = new Map<string, string>();
  return {
    changed(vm: Pick<Vm, 'id' | 'project' | 'state' | 'vcpus' | 'memoryBytes' | 'etag' | 'disks'>): void {
      if (vm.state === 'unknown') return;
      const sizes = vm.disks.map(({ sizeBytes }) => sizeBytes);
      // The tag changes with the stored definition.
      const holds = [vm.project, vm.vcpus, vm.memoryBytes, vm.etag, ...sizes].join(' ');
      if (seen.get(vm.id) === holds) return;
      seen.set(vm.id, holds);
      noticed();
    },
    removed(id: string): void {
      seen.delete(id);
      noticed();
    },
  };
}
