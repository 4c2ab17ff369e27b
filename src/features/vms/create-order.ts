/** Turns a create request into an order in which nothing is left to choose: ids, addresses, paths, firmware. The order is what the journal
 *  keeps, so that a resumed operation makes exactly the same VM. It holds no secrets: the cloud-init seed is a file beside it. */

import { z } from 'zod';
import { nicFilterSchema, type VmCreate } from '#contract/vms.ts';
import { AppError, type FieldProblem } from '#kernel/errors.ts';
import { newMac } from '#kernel/ids.ts';
import { formatBytes, MIB } from '#kernel/units.ts';
import { findUefi } from './firmware.ts';
import type { HostSpace } from './host-space.ts';
import { type FilterWorld, newNicFilter } from './nic-filter-order.ts';
import type { Accelerator, ImageFile, ImageLibrary } from './ports.ts';

const diskOrderSchema = z.object({
  format: z.enum(['qcow2', 'raw']),
  sizeBytes: z.number(),
  source: z.object({ path: z.string(), format: z.enum(['qcow2', 'raw']), bytes: z.number() }).nullable(),
});

export const createOrderSchema = z.object({
  vmId: z.string(),
  name: z.string(),
  /** What libvirt calls it; absent in orders of before there were projects, where it is the name. */
  domainName: z.string().optional(),
  title: z.string().nullable(),
  description: z.string().nullable(),
  vcpus: z.number(),
  memoryBytes: z.number(),
  accel: z.enum(['kvm', 'tcg']),
  uefi: z
    .object({ codePath: z.string(), varsTemplatePath: z.string(), isSecureBoot: z.boolean() })
    .nullable()
    .describe('null = BIOS or kernel'),
  hasTpm: z.boolean(),
  hasGraphics: z.boolean(),
  /** Images that are read while the VM is made, or that it uses. */
  imageIds: z.array(z.string()).default([]),
  isoPath: z.string().nullable(),
  kernel: z.object({ path: z.string(), initrdPath: z.string().nullable(), commandLine: z.string() }).nullable(),
  disks: z.array(diskOrderSchema),
  hasSeed: z.boolean(),
  /** cloud-init sets the addresses, perhaps others than DHCP would give. */
  hasNetworkData: z.boolean().default(false),
  nics: z.array(
    z.object({
      mac: z.string(),
      network: z.string().nullable(),
      bridge: z.string().nullable(),
      /** null = the host cannot filter, or the order is of before there were filters. */
      filter: nicFilterSchema.nullable().default(null),
    }),
  ),
  isAutostart: z.boolean(),
  isProtected: z.boolean(),
  tags: z.array(z.string()).default([]),
  isStarted: z.boolean(),
});
export type CreateOrder = z.infer<typeof createOrderSchema>;

export interface CreateWorld {
  readonly images: ImageLibrary;
  readonly accel: Accelerator;
  readonly space: HostSpace;
  readonly hasTpmEmulator: boolean;
  /** Networks and bridges that a NIC can use; `default` is there before it is, it is made when needed. */
  hasNetwork(name: string): boolean;
  hasBridge(name: string): boolean;
  /** Whether disks may be made in our pool. */
  readonly hasPool: boolean;
  /** The VM that has this MAC already; its name is null for one that the asker may not know of. */
  holderOfMac(mac: string): { readonly name: string | null } | null;
  /** In the project of the VM. */
  isNameTaken(name: string): boolean;
  domainName(name: string): string;
  readonly filters: FilterWorld;
}

/** The NAT network that VMs get unless told otherwise. */
export const DEFAULT_NETWORK = 'default';
/** The pool folder that new disks go to. */
export const DEFAULT_POOL = 'hyper';
const ARCH = 'x86_64';
const MACHINE = 'q35';

/** @throws AppError invalid_input with every field that does not fit; already_exists; firmware_missing; tpm_missing; no_hypervisor */
export async function resolveCreate(spec: VmCreate, vmId: string, world: CreateWorld): Promise<CreateOrder> {
  if (world.isNameTaken(spec.name)) throw nameTaken(spec.name);
  const problems: FieldProblem[] = [];
  const order = checkedOrder(spec, vmId, world, problems);
  if (problems.length > 0) throw refusal(problems);
  if (world.accel() === 'none') throw new AppError('no_hypervisor');
  if (spec.tpm && !world.hasTpmEmulator) throw new AppError('tpm_missing');
  const needsUefi = spec.firmware === 'uefi' && spec.kernel === undefined;
  const uefi = needsUefi ? await findUefi({ arch: ARCH, machine: MACHINE, secureBoot: spec.secureBoot }) : null;
  if (needsUefi && uefi === null)
    throw new AppError(
      'firmware_missing',
      spec.secureBoot ? { detail: 'No UEFI firmware with enrolled Secure Boot keys is installed.' } : {},
    );
  return { ...order, uefi };
}

function checkedOrder(spec: VmCreate, vmId: string, world: CreateWorld, problems: FieldProblem[]): CreateOrder {
  if (spec.memoryBytes > world.space.totalMemoryBytes) {
    problems.push({
      path: 'memoryBytes',
      problem: `${formatBytes(spec.memoryBytes)} is more than the host has (${formatBytes(world.space.totalMemoryBytes)})`,
      mend: 'give it less',
    });
  }
  if (spec.memoryBytes % MIB !== 0)
    problems.push({ path: 'memoryBytes', problem: 'it is no whole number of MiB', mend: 'use a multiple of 1048576' });
  if (spec.secureBoot && spec.firmware !== 'uefi')
    problems.push({
      path: 'secureBoot',
      problem: 'BIOS has no Secure Boot',
      mend: 'choose UEFI, or switch Secure Boot off',
    });
  const iso = imageOf(world.images, spec.isoId, 'isoId', ['iso'], problems);
  const kernel = imageOf(world.images, spec.kernel?.kernelImageId, 'kernel.kernelImageId', ['kernel'], problems);
  const initrd = imageOf(world.images, spec.kernel?.initrdImageId, 'kernel.initrdImageId', ['initrd'], problems);
  const diskImages = spec.disks.map((disk, n) =>
    imageOf(world.images, disk.imageId, `disks.${n}.imageId`, ['disk'], problems),
  );
  const used = [iso, kernel, initrd, ...diskImages].flatMap((image) => image?.id ?? []);
  return {
    vmId,
    name: spec.name,
    domainName: world.domainName(spec.name),
    title: spec.title === '' ? null : (spec.title ?? null),
    description: spec.description === '' ? null : (spec.description ?? null),
    vcpus: spec.vcpus,
    memoryBytes: spec.memoryBytes,
    accel: spec.accel === 'auto' && world.accel() === 'kvm' ? 'kvm' : 'tcg',
    uefi: null,
    hasTpm: spec.tpm,
    hasGraphics: spec.graphics,
    imageIds: [...new Set(used)],
    isoPath: iso?.path ?? null,
    kernel: kernel
      ? { path: kernel.path, initrdPath: initrd?.path ?? null, commandLine: spec.kernel?.commandLine ?? '' }
      : null,
    disks: spec.disks.map((disk, n) => diskOrder(disk, diskImages[n] ?? null, `disks.${n}`, world, problems)),
    hasSeed: spec.cloudInit !== undefined,
    hasNetworkData: spec.cloudInit?.networkData !== undefined,
    nics: nicOrders(spec, world, problems),
    isAutostart: spec.autostart,
    isProtected: spec.isProtected,
    tags: [...new Set(spec.tags)].sort(),
    isStarted: spec.start,
  };
}

function diskOrder(
  disk: VmCreate['disks'][number],
  image: ImageFile | null,
  path: string,
  world: Pick<CreateWorld, 'hasPool'>,
  problems: FieldProblem[],
): CreateOrder['disks'][number] {
  const pool = disk.pool ?? DEFAULT_POOL;
  if (pool !== DEFAULT_POOL || !world.hasPool) {
    problems.push({
      path: `${path}.pool`,
      problem: `there is no pool "${pool}" for new disks`,
      mend: world.hasPool
        ? `leave it out, or use "${DEFAULT_POOL}"`
        : `ask an administrator to give the project the pool "${DEFAULT_POOL}"`,
    });
  }
  if (disk.imageId === undefined && disk.sizeBytes === undefined)
    problems.push({
      path: `${path}.sizeBytes`,
      problem: 'an empty disk needs a size',
      mend: 'give the size, as 20 GiB',
    });
  const sizeBytes = disk.sizeBytes ?? image?.virtualSizeBytes ?? 0;
  if (image && sizeBytes < image.virtualSizeBytes) {
    problems.push({
      path: `${path}.sizeBytes`,
      problem: `${formatBytes(sizeBytes)} is less than the image needs (${formatBytes(image.virtualSizeBytes)})`,
      mend: 'give at least as much',
    });
  }
  if (sizeBytes % 512 !== 0)
    problems.push({
      path: `${path}.sizeBytes`,
      problem: 'it is no whole number of sectors',
      mend: 'use a multiple of 512',
    });
  const source =
    image && image.format !== 'iso' ? { path: image.path, format: image.format, bytes: image.sizeBytes } : null;
  return { format: disk.format, sizeBytes, source };
}

function nicOrders(spec: VmCreate, world: CreateWorld, problems: FieldProblem[]): CreateOrder['nics'] {
  const macs = new Set<string>();
  return spec.nics.map((nic, n) => {
    const path = `nics.${n}`;
    if (nic.bridge !== undefined && nic.network !== undefined)
      problems.push({ path, problem: 'it names a network and a bridge', mend: 'give one of them' });
    if (nic.bridge !== undefined && !world.hasBridge(nic.bridge)) {
      problems.push({
        path: `${path}.bridge`,
        problem: `the host has no bridge "${nic.bridge}"`,
        mend: 'use one that `hv network list` shows',
      });
    }
    const network = nic.bridge === undefined ? (nic.network ?? DEFAULT_NETWORK) : null;
    if (network !== null && !world.hasNetwork(network)) {
      problems.push({
        path: `${path}.network`,
        problem: `there is no network "${network}"`,
        mend: 'use one that `hv network list` shows',
      });
    }
    const mac = nic.mac ?? unusedMac(world, macs);
    const holder = nic.mac === undefined ? null : world.holderOfMac(mac);
    if (holder !== null) throw macTaken(`${path}.mac`, mac, holder);
    if (macs.has(mac))
      problems.push({ path: `${path}.mac`, problem: 'it is given twice', mend: 'leave it out to get a free one' });
    macs.add(mac);
    const filter = newNicFilter(`${path}.filter`, nic.filter, network, world.filters);
    return { mac, network, bridge: nic.bridge ?? null, filter };
  });
}

function unusedMac(world: CreateWorld, taken: ReadonlySet<string>): string {
  for (;;) {
    const mac = newMac();
    if (!taken.has(mac) && world.holderOfMac(mac) === null) return mac;
  }
}

function imageOf(
  library: ImageLibrary,
  id: string | undefined,
  path: string,
  kinds: readonly ImageFile['kind'][],
  problems: FieldProblem[],
): ImageFile | null {
  if (id === undefined) return null;
  const image = library.get(id);
  if (!image) {
    problems.push({ path, problem: 'there is no such image', mend: 'use an id or name that `hv image list` shows' });
    return null;
  }
  if (!kinds.includes(image.kind)) {
    problems.push({
      path,
      problem: `"${image.name}" is of kind ${image.kind}`,
      mend: `use an image of kind ${kinds.join(' or ')}`,
    });
    return null;
  }
  return image;
}

/** Bytes that a disk takes at once; empty ones grow later. */
export function bytesOfDisk({ source }: CreateOrder['disks'][number]): number {
  return source?.bytes ?? MIB;
}

/** Bytes that the disks take at once, with the seed. */
export function bytesToWrite(order: CreateOrder): number {
  return order.disks.reduce((sum, disk) => sum + bytesOfDisk(disk), order.hasSeed ? MIB : 0);
}

/** Bytes that the disks can grow to. */
export function bytesPromised(order: CreateOrder): number {
  return order.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0);
}

function macTaken(path: string, mac: string, { name }: { readonly name: string | null }): AppError {
  const holder = name === null ? 'another VM' : `the VM "${name}"`;
  return new AppError('already_exists', {
    detail: `${holder.replace(/^./, (first) => first.toUpperCase())} has the address ${mac} already.`,
    fields: [{ path, problem: `${holder} uses it`, mend: 'leave it out to get a free one' }],
  });
}

export function nameTaken(name: string): AppError {
  return new AppError('already_exists', {
    detail: `There is a VM with the name "${name}" already.`,
    fields: [{ path: 'name', problem: 'it is taken', mend: 'choose another name' }],
  });
}

export function refusal(problems: readonly FieldProblem[]): AppError {
  return new AppError('invalid_input', {
    detail: problems.map((problem) => `${problem.path}: ${problem.problem}; ${problem.mend}.`).join(' '),
    fields: problems,
  });
}
