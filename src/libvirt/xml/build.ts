/** The definition of a new VM. Defaults are those a current guest wants: q35, virtio, no TCP listener anywhere. */

import { AppError } from '#kernel/errors.ts';
import { AGENT_CHANNEL, METADATA_NAMESPACE, METADATA_PREFIX } from './domain.ts';
import { element, serialize, type XmlElement } from './tree.ts';

export type FirmwareSpec =
  | { readonly kind: 'bios' }
  | {
      readonly kind: 'uefi';
      /** Code image, as OVMF_CODE_4M.fd. */
      readonly loaderPath: string;
      /** Variables image that the VM's own is copied from. */
      readonly nvramTemplatePath: string;
      /** The VM's own variables; libvirt makes the file at first start. */
      readonly nvramPath: string;
      readonly secureBoot?: boolean;
    };

export interface DiskSpec {
  readonly device?: 'disk' | 'cdrom';
  /** File; null = empty cdrom drive. */
  readonly path: string | null;
  /** Never left to guessing: a guest could write a qcow2 header that names a host file. Default raw for cdroms. */
  readonly format?: 'qcow2' | 'raw';
  /** Default virtio, sata for cdroms. */
  readonly bus?: 'virtio' | 'sata' | 'scsi' | 'usb';
  /** Default: the next free name of the bus. */
  readonly target?: string;
  readonly readOnly?: boolean;
  /** 1 = first. */
  readonly bootOrder?: number;
  /** Seen by the guest, at most 20 characters. */
  readonly serial?: string;
  readonly cache?: 'none' | 'writeback' | 'writethrough' | 'directsync' | 'unsafe';
}

export interface NicSpec {
  readonly mac: string;
  readonly source:
    | { readonly kind: 'network'; readonly network: string }
    | { readonly kind: 'bridge'; readonly bridge: string }
    | { readonly kind: 'user' };
  readonly model?: 'virtio' | 'e1000e' | 'e1000' | 'rtl8139';
  readonly bootOrder?: number;
  readonly link?: 'up' | 'down';
  readonly filter?: NicFilterSpec;
}

/** A network filter and the parameters that it is used with. */
export interface NicFilterSpec {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
}

export type CpuSpec =
  | { readonly mode: 'host-passthrough' | 'host-model' | 'maximum' }
  | { readonly mode: 'custom'; readonly model: string };

export interface DomainSpec {
  readonly name: string;
  readonly uuid: string;
  readonly title?: string;
  readonly description?: string;
  /** kvm only where it is proven to work; qemu = emulation. */
  readonly virtType: 'kvm' | 'qemu';
  readonly arch?: string;
  readonly machine?: string;
  /** Path of QEMU; default: libvirt's choice for the architecture. */
  readonly emulator?: string;
  readonly memoryKib: number;
  readonly vcpus: number;
  /** Default host-passthrough with kvm, maximum with qemu. */
  readonly cpu?: CpuSpec;
  readonly firmware: FirmwareSpec;
  readonly directKernel?: { readonly kernelPath: string; readonly initrdPath?: string; readonly cmdline?: string };
  readonly disks: readonly DiskSpec[];
  readonly nics: readonly NicSpec[];
  /** VNC on a Unix socket that libvirt names, or no screen. Default vnc. */
  readonly graphics?: 'vnc' | 'none';
  /** Default virtio with UEFI, vga with BIOS, whose installers draw on plain VGA. */
  readonly video?: 'virtio' | 'vga';
  readonly tpm?: boolean;
  /** What the serial port prints is also written here, by libvirt's log daemon. */
  readonly serialLogPath?: string;
  /** What happens when the guest panics; default destroy, so that it shows as crashed. */
  readonly onCrash?: 'destroy' | 'restart' | 'preserve';
  /** Free slots for devices added while it runs; default 4. */
  readonly hotplugSlots?: number;
  /** Attributes of our metadata element. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** @throws AppError invalid_input with the fields that cannot be */
export function buildDomainXml(spec: DomainSpec): string {
  assertSpec(spec);
  return `${serialize(domainElement(spec))}\n`;
}

function domainElement(spec: DomainSpec): XmlElement {
  return element(
    'domain',
    { type: spec.virtType },
    element('name', {}, spec.name),
    element('uuid', {}, spec.uuid),
    spec.title ? element('title', {}, spec.title) : null,
    spec.description ? element('description', {}, spec.description) : null,
    spec.metadata ? element('metadata', {}, metadataTree(spec.metadata)) : null,
    element('memory', { unit: 'KiB' }, spec.memoryKib),
    element('currentMemory', { unit: 'KiB' }, spec.memoryKib),
    element('vcpu', { placement: 'static' }, spec.vcpus),
    osElement(spec),
    element('features', {}, element('acpi'), element('apic'), isSecureBoot(spec) && element('smm', { state: 'on' })),
    cpuElement(spec),
    element(
      'clock',
      { offset: 'utc' },
      element('timer', { name: 'rtc', tickpolicy: 'catchup' }),
      element('timer', { name: 'pit', tickpolicy: 'delay' }),
      element('timer', { name: 'hpet', present: 'no' }),
    ),
    element('on_poweroff', {}, 'destroy'),
    element('on_reboot', {}, 'restart'),
    element('on_crash', {}, spec.onCrash ?? 'destroy'),
    element('pm', {}, element('suspend-to-mem', { enabled: 'no' }), element('suspend-to-disk', { enabled: 'no' })),
    devicesElement(spec),
  );
}

export function metadataTree(attributes: Readonly<Record<string, string>>): XmlElement {
  return element(`${METADATA_PREFIX}:vm`, { [`xmlns:${METADATA_PREFIX}`]: METADATA_NAMESPACE, ...attributes });
}

function isSecureBoot({ firmware }: DomainSpec): boolean {
  return firmware.kind === 'uefi' && firmware.secureBoot === true;
}

function osElement(spec: DomainSpec): XmlElement {
  const { firmware, directKernel } = spec;
  return element(
    'os',
    {},
    element('type', { arch: spec.arch ?? 'x86_64', machine: spec.machine ?? 'q35' }, 'hvm'),
    firmware.kind === 'uefi' &&
      element(
        'loader',
        { readonly: 'yes', secure: firmware.secureBoot ? 'yes' : undefined, type: 'pflash' },
        firmware.loaderPath,
      ),
    firmware.kind === 'uefi' && element('nvram', { template: firmware.nvramTemplatePath }, firmware.nvramPath),
    directKernel && element('kernel', {}, directKernel.kernelPath),
    directKernel?.initrdPath && element('initrd', {}, directKernel.initrdPath),
    directKernel?.cmdline && element('cmdline', {}, directKernel.cmdline),
  );
}

function cpuElement({ cpu, virtType }: DomainSpec): XmlElement {
  const chosen = cpu ?? { mode: virtType === 'kvm' ? 'host-passthrough' : 'maximum' };
  switch (chosen.mode) {
    case 'custom':
      return element(
        'cpu',
        { mode: 'custom', match: 'exact', check: 'none' },
        element('model', { fallback: 'forbid' }, chosen.model),
      );
    case 'maximum':
      // Emulated 5-level paging makes some firmware and kernels hang, and no emulated guest needs it.
      return element(
        'cpu',
        { mode: 'maximum', check: 'none' },
        element('feature', { policy: 'disable', name: 'la57' }),
      );
    default:
      return element('cpu', { mode: chosen.mode, check: 'none' });
  }
}

function devicesElement(spec: DomainSpec): XmlElement {
  const hasScreen = (spec.graphics ?? 'vnc') === 'vnc';
  const disks = withTargets(spec.disks, []);
  const hasPorts = (spec.machine ?? 'q35').includes('q35');
  return element(
    'devices',
    {},
    spec.emulator && element('emulator', {}, spec.emulator),
    ...disks.map(diskElement),
    element('controller', { type: 'usb', model: 'qemu-xhci' }),
    element('controller', { type: 'virtio-serial' }),
    ...(hasPorts ? rootPorts(spec) : []),
    ...spec.nics.map(nicElement),
    element(
      'serial',
      { type: 'pty' },
      spec.serialLogPath && element('log', { file: spec.serialLogPath, append: 'on' }),
      element('target', { type: 'isa-serial', port: '0' }),
    ),
    element('console', { type: 'pty' }, element('target', { type: 'serial', port: '0' })),
    element('channel', { type: 'unix' }, element('target', { type: 'virtio', name: AGENT_CHANNEL })),
    hasScreen && element('input', { type: 'tablet', bus: 'usb' }),
    spec.tpm && element('tpm', { model: 'tpm-crb' }, element('backend', { type: 'emulator', version: '2.0' })),
    hasScreen && element('graphics', { type: 'vnc' }, element('listen', { type: 'socket' })),
    hasScreen &&
      element(
        'video',
        {},
        element('model', { type: spec.video ?? (spec.firmware.kind === 'bios' ? 'vga' : 'virtio') }),
      ),
    element('memballoon', { model: 'virtio' }, element('stats', { period: '10' })),
    element('rng', { model: 'virtio' }, element('backend', { model: 'random' }, '/dev/urandom')),
    (spec.arch ?? 'x86_64') === 'x86_64' && element('panic', { model: 'isa' }),
  );
}

/** q35 takes a device added at run time only on a free port, and ports cannot be added at run time. */
function rootPorts(spec: DomainSpec): XmlElement[] {
  const fixed = 4; // USB, virtio-serial, balloon, rng
  const used = fixed + spec.nics.length + spec.disks.filter((disk) => busOf(disk) === 'virtio').length;
  const ports = Array.from({ length: used + (spec.hotplugSlots ?? 4) }, () =>
    element('controller', { type: 'pci', model: 'pcie-root-port' }),
  );
  return [element('controller', { type: 'pci', index: '0', model: 'pcie-root' }), ...ports];
}

export function diskElement(disk: DiskSpec & { readonly target: string }): XmlElement {
  const isCdrom = disk.device === 'cdrom';
  const format = disk.format ?? 'raw';
  return element(
    'disk',
    { type: 'file', device: disk.device ?? 'disk' },
    element('driver', { name: 'qemu', type: format, cache: disk.cache, discard: isCdrom ? undefined : 'unmap' }),
    disk.path !== null && element('source', { file: disk.path }),
    element('target', { dev: disk.target, bus: busOf(disk) }),
    (isCdrom || disk.readOnly) && element('readonly'),
    disk.serial && element('serial', {}, disk.serial),
    disk.bootOrder !== undefined && element('boot', { order: disk.bootOrder }),
  );
}

export function nicElement(nic: NicSpec): XmlElement {
  const { source } = nic;
  return element(
    'interface',
    { type: source.kind },
    source.kind === 'network' && element('source', { network: source.network }),
    source.kind === 'bridge' && element('source', { bridge: source.bridge }),
    element('mac', { address: nic.mac }),
    element('model', { type: nic.model ?? 'virtio' }),
    nic.filter && filterElement(nic.filter),
    nic.link && element('link', { state: nic.link }),
    nic.bootOrder !== undefined && element('boot', { order: nic.bootOrder }),
  );
}

export function filterElement({ name, parameters }: NicFilterSpec): XmlElement {
  return element(
    'filterref',
    { filter: name },
    ...Object.entries(parameters).map(([parameter, value]) => element('parameter', { name: parameter, value })),
  );
}

function busOf(disk: DiskSpec): NonNullable<DiskSpec['bus']> {
  return disk.bus ?? (disk.device === 'cdrom' ? 'sata' : 'virtio');
}

/** Gives each disk without a target the next free one of its bus. */
export function withTargets(
  disks: readonly DiskSpec[],
  taken: readonly string[],
): (DiskSpec & { readonly target: string })[] {
  const used = new Set([...taken, ...disks.flatMap(({ target }) => target ?? [])]);
  return disks.map((disk) => {
    if (disk.target !== undefined) return { ...disk, target: disk.target };
    const prefix = busOf(disk) === 'virtio' ? 'vd' : 'sd';
    for (let index = 0; ; index += 1) {
      const target = prefix + letters(index);
      if (used.has(target)) continue;
      used.add(target);
      return { ...disk, target };
    }
  });
}

function letters(index: number): string {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : letters(Math.floor(index / 26) - 1) + last;
}

function assertSpec(spec: DomainSpec): void {
  const fields: { path: string; problem: string; mend: string }[] = [];
  const refuse = (path: string, problem: string, mend: string) => fields.push({ path, problem, mend });
  const absolute = (path: string, value: string | null | undefined) => {
    if (value !== null && value !== undefined && !value.startsWith('/'))
      refuse(path, 'is not an absolute path', 'Give the path from the root.');
  };
  if (spec.name === '' || /[/\n]/.test(spec.name))
    refuse('name', 'is empty, or holds a slash or a line break', 'Choose another name.');
  if (!Number.isSafeInteger(spec.memoryKib) || spec.memoryKib < 1024)
    refuse('memoryKib', 'is below 1 MiB', 'Give it more memory.');
  if (!Number.isSafeInteger(spec.vcpus) || spec.vcpus < 1)
    refuse('vcpus', 'is not a whole number above 0', 'Give it at least one.');
  spec.disks.forEach((disk, index) => {
    absolute(`disks.${index}.path`, disk.path);
    if (disk.path === null && disk.device !== 'cdrom')
      refuse(`disks.${index}.path`, 'is missing', 'Only a cdrom drive can be empty.');
    if (disk.device !== 'cdrom' && disk.format === undefined)
      refuse(`disks.${index}.format`, 'is missing', 'Say qcow2 or raw.');
  });
  absolute('directKernel.kernelPath', spec.directKernel?.kernelPath);
  absolute('directKernel.initrdPath', spec.directKernel?.initrdPath);
  if (spec.firmware.kind === 'uefi') absolute('firmware.nvramPath', spec.firmware.nvramPath);
  if (fields.length > 0) throw new AppError('invalid_input', { detail: 'The VM cannot be defined like this.', fields });
}
