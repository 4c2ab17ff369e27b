/** The test VM's definition, made from that of the restore point. What is kept is listed here; everything else, known or not, is left
 *  out: host devices, host files and sockets, shared folders, passthrough of any kind, and QEMU arguments.
 *  The definition may come from a stranger: it decides what the guest sees, never what QEMU opens on the host. */

import { TEST_OBJECT_PREFIX } from '#features/inventory/index.ts';
import {
  attribute,
  child,
  children,
  element,
  METADATA_NAMESPACE,
  parseXml,
  readDomain,
  serialize,
  textAt,
  type XmlElement,
} from '#libvirt/index.ts';

/** Parsed XML; the parser's own type is not ours to name. */
type Parsed = ReturnType<typeof parseXml>;

export interface ProofDisk {
  /** As in the definition, as `vda`. */
  readonly target: string;
  /** The overlay that the guest writes to. */
  readonly overlayPath: string;
}

export interface ProofDomainSpec {
  readonly operationId: string;
  readonly uuid: string;
  readonly accel: 'kvm' | 'tcg';
  readonly maxMemoryKib: number;
  readonly maxVcpus: number;
  readonly disks: readonly ProofDisk[];
  /** Images in its drives by target: what cloud-init reads there, and nothing else. */
  readonly media: ReadonlyMap<string, string>;
  /** libvirt network that its cards are plugged into; null = it gets none. */
  readonly network: string | null;
  /** For guests with UEFI: the firmware of this host, and the copy of their variables. */
  readonly uefi: {
    readonly codePath: string;
    readonly templatePath: string;
    readonly nvramPath: string;
    readonly isSecure: boolean;
  } | null;
}

export interface ProofDomain {
  readonly xml: string;
  readonly name: string;
  /** What the guest has to do without, for the evidence. */
  readonly notes: readonly string[];
  readonly memoryKib: number;
}

/** Name of everything in libvirt that belongs to the proof of an operation. */
export const proofName = (operationId: string): string => `${TEST_OBJECT_PREFIX}${operationId}`;

/** Id of the operation, of what is named by `proofName`; null for everything else. */
export function operationOfProof(name: string): string | null {
  return name.startsWith(TEST_OBJECT_PREFIX) ? name.slice(TEST_OBJECT_PREFIX.length) : null;
}

const MAX_DEFINITION_BYTES = 4 * 1024 * 1024;
const MIN_MEMORY_KIB = 64 * 1024;

const PLAIN_FEATURES = ['acpi', 'apic', 'pae', 'smm', 'gic'];
const KVM_FEATURES = [...PLAIN_FEATURES, 'hyperv', 'kvm', 'pvspinlock', 'pmu', 'vmport', 'ioapic'];

/** Devices that are said in the notes when they are left out; all others that are not kept go without a word. */
const TOLD_DEVICES: Readonly<Record<string, string>> = {
  hostdev: 'a host device',
  redirdev: 'a redirected USB device',
  filesystem: 'a shared folder',
  shmem: 'shared memory',
  tpm: 'the TPM (its state is not part of the test)',
  vsock: 'the socket to the host',
  smartcard: 'a smart card',
  watchdog: 'the watchdog',
  nvram: 'a device',
};

/** @throws AppError invalid_definition for text that is no definition */
export function proofDomain(definition: string, spec: ProofDomainSpec): ProofDomain {
  const from = parseXml(definition, MAX_DEFINITION_BYTES);
  const name = proofName(spec.operationId);
  const devices = child(from, 'devices');
  const wanted = Math.max(MIN_MEMORY_KIB, readDomain(definition).memoryKib ?? MIN_MEMORY_KIB);
  const memoryKib = Math.min(wanted, spec.maxMemoryKib);
  const vcpus = Math.max(1, Math.min(spec.maxVcpus, whole(textAt(from, 'vcpu')) ?? 1));
  const found = devices === null ? [] : children(devices);
  const notes = notesOf(found, spec, wanted, memoryKib);
  const isQ35 = /q35/.test(attribute(child(from, 'os', 'type'), 'machine') ?? '');

  const domain = element(
    'domain',
    { type: spec.accel === 'kvm' ? 'kvm' : 'qemu' },
    element('name', {}, name),
    element('uuid', {}, spec.uuid),
    element(
      'metadata',
      {},
      element('hyper:vm', { 'xmlns:hyper': METADATA_NAMESPACE, op: spec.operationId, proof: 'yes' }),
    ),
    element('memory', { unit: 'KiB' }, memoryKib),
    element('currentMemory', { unit: 'KiB' }, memoryKib),
    element('vcpu', { placement: 'static' }, vcpus),
    osElement(from, spec),
    featuresElement(from, spec),
    cpuElement(from, spec),
    ...copies(from, 'clock'),
    ...['on_poweroff', 'on_reboot', 'on_crash'].map((event) => element(event, {}, 'destroy')),
    element(
      'devices',
      {},
      ...found.filter(({ nodeName }) => nodeName === 'controller').map(controllerElement),
      ...found.filter(({ nodeName }) => nodeName === 'disk').flatMap((disk) => diskElement(disk, spec)),
      ...(spec.network === null ? [] : nicElements(found, spec.network)),
      element('serial', { type: 'pty' }, element('target', { port: '0' })),
      element('console', { type: 'pty' }, element('target', { type: 'serial', port: '0' })),
      element('channel', { type: 'unix' }, element('target', { type: 'virtio', name: 'org.qemu.guest_agent.0' })),
      element('graphics', { type: 'vnc' }, element('listen', { type: 'socket' })),
      videoElement(found),
      element('memballoon', { model: 'none' }),
      element('rng', { model: 'virtio' }, element('backend', { model: 'random' }, '/dev/urandom')),
      isQ35 || archOf(from) === 'x86_64' ? element('panic', { model: 'isa' }) : null,
    ),
  );
  return { xml: `${serialize(domain)}\n`, name, notes, memoryKib };
}

function notesOf(found: readonly Parsed[], spec: ProofDomainSpec, wantedKib: number, givenKib: number): string[] {
  const kept = new Set(spec.disks.map(({ target }) => target));
  const devices = new Set(found.flatMap(({ nodeName }) => TOLD_DEVICES[nodeName] ?? []));
  const disks = found
    .filter((disk) => disk.nodeName === 'disk' && (attribute(disk, 'device') ?? 'disk') === 'disk')
    .map((disk) => attribute(child(disk, 'target'), 'dev') ?? '')
    .filter((target) => target !== '' && !kept.has(target));
  return [
    ...[...devices].map((device) => `The test VM goes without ${device}.`),
    ...disks.map((target) => `The test VM goes without the disk ${target}, which is not in the point.`),
    ...(givenKib < wantedKib
      ? [`The test VM has ${Math.round(givenKib / 1024)} MiB of memory instead of ${Math.round(wantedKib / 1024)} MiB.`]
      : []),
  ];
}

/** Firmware and boot order of the guest; never its kernel, which would be a file of the host. */
function osElement(from: Parsed, spec: ProofDomainSpec): XmlElement {
  const type = child(from, 'os', 'type');
  const boots = children(child(from, 'os') ?? from, 'boot').flatMap((boot) => attribute(boot, 'dev') ?? []);
  return element(
    'os',
    {},
    element('type', { arch: archOf(from), machine: attribute(type, 'machine') ?? undefined }, 'hvm'),
    spec.uefi &&
      element(
        'loader',
        { readonly: 'yes', secure: spec.uefi.isSecure ? 'yes' : undefined, type: 'pflash' },
        spec.uefi.codePath,
      ),
    spec.uefi && element('nvram', { template: spec.uefi.templatePath }, spec.uefi.nvramPath),
    ...boots.filter((dev) => dev === 'hd').map((dev) => element('boot', { dev })),
    // A BIOS tells on the serial port too that it found nothing to start.
    spec.uefi === null && archOf(from) === 'x86_64' ? element('bios', { useserial: 'yes' }) : null,
  );
}

/** Without KVM there is nothing that speaks Hyper-V's or KVM's own languages. */
function featuresElement(from: Parsed, { accel }: ProofDomainSpec): XmlElement | null {
  const features = child(from, 'features');
  if (features === null) return null;
  const kept = children(features).filter(({ nodeName }) =>
    (accel === 'kvm' ? KVM_FEATURES : PLAIN_FEATURES).includes(nodeName),
  );
  return element('features', {}, ...kept.map((part) => copyOf(part, 2)));
}

/** Emulation cannot pass the host's processor on. */
function cpuElement(from: Parsed, { accel }: ProofDomainSpec): XmlElement | null {
  const cpu = child(from, 'cpu');
  const mode = attribute(cpu, 'mode');
  if (accel === 'tcg' && (cpu === null || mode === 'host-passthrough' || mode === 'host-model'))
    return element('cpu', { mode: 'maximum', check: 'none' }, element('feature', { policy: 'disable', name: 'la57' }));
  if (cpu === null) return null;
  const parts = children(cpu).filter(({ nodeName }) => nodeName === 'model' || nodeName === 'feature');
  return element(
    'cpu',
    { mode: mode ?? undefined, match: attribute(cpu, 'match') ?? undefined, check: 'none' },
    ...parts.map((part) => copyOf(part, 1)),
  );
}

/** Places of devices on their buses stay, or the guest would find its cards under other names. */
function addressElement(device: Parsed): XmlElement | null {
  const address = child(device, 'address');
  return address !== null && ['pci', 'drive', 'usb'].includes(attribute(address, 'type') ?? '')
    ? copyOf(address, 0)
    : null;
}

function controllerElement(controller: Parsed): XmlElement | null {
  const type = attribute(controller, 'type') ?? '';
  if (!['pci', 'usb', 'sata', 'ide', 'scsi', 'virtio-serial'].includes(type)) return null;
  return element(
    'controller',
    {
      type,
      index: attribute(controller, 'index') ?? undefined,
      model: attribute(controller, 'model') ?? undefined,
    },
    ...children(controller)
      .filter(({ nodeName }) => type === 'pci' && (nodeName === 'model' || nodeName === 'target'))
      .map((part) => copyOf(part, 0)),
    ...children(controller)
      .filter(({ nodeName }) => nodeName === 'master')
      .map((part) => copyOf(part, 0)),
    addressElement(controller),
  );
}

/** Disks of the point on their overlays; drives, empty but for what cloud-init reads; nothing else. */
function diskElement(disk: Parsed, { disks, media }: ProofDomainSpec): XmlElement[] {
  const target = child(disk, 'target');
  const dev = attribute(target, 'dev') ?? '';
  const bus = attribute(target, 'bus') ?? undefined;
  const device = attribute(disk, 'device') ?? 'disk';
  if (device === 'cdrom')
    return [
      element(
        'disk',
        { type: 'file', device: 'cdrom' },
        element('driver', { name: 'qemu', type: 'raw' }),
        media.has(dev) && element('source', { file: media.get(dev) }),
        element('target', { dev, bus }),
        element('readonly'),
        addressElement(disk),
      ),
    ];
  const overlay = disks.find((each) => each.target === dev);
  if (overlay === undefined) return [];
  const boot = child(disk, 'boot');
  return [
    element(
      'disk',
      { type: 'file', device: 'disk' },
      // A read that fails stops the guest there: it must not go on with what it makes of the failure.
      element('driver', { name: 'qemu', type: 'qcow2', discard: 'unmap', error_policy: 'stop', rerror_policy: 'stop' }),
      element('source', { file: overlay.overlayPath }),
      element('target', { dev, bus }),
      textAt(disk, 'serial') !== null && element('serial', {}, textAt(disk, 'serial')),
      textAt(disk, 'wwn') !== null && element('wwn', {}, textAt(disk, 'wwn')),
      boot !== null && element('boot', { order: attribute(boot, 'order') ?? undefined }),
      addressElement(disk),
    ),
  ];
}

/** The same cards by model and MAC, all in the one network that leads nowhere. */
function nicElements(found: readonly Parsed[], network: string): XmlElement[] {
  return found
    .filter(({ nodeName }) => nodeName === 'interface')
    .map((nic) =>
      element(
        'interface',
        { type: 'network' },
        element('mac', { address: attribute(child(nic, 'mac'), 'address') ?? undefined }),
        element('source', { network }),
        element('model', { type: attribute(child(nic, 'model'), 'type') ?? 'virtio' }),
        addressElement(nic),
      ),
    );
}

function videoElement(found: readonly Parsed[]): XmlElement {
  const video = found.find(({ nodeName }) => nodeName === 'video');
  const model = attribute(video === undefined ? null : child(video, 'model'), 'type');
  const isPlain = ['vga', 'virtio', 'bochs', 'cirrus', 'qxl'].includes(model ?? '');
  return element(
    'video',
    {},
    // What draws with the host's graphics card is drawn without here.
    element('model', { type: isPlain && model !== 'qxl' ? (model ?? 'vga') : 'vga' }),
    video === undefined ? null : addressElement(video),
  );
}

function copies(from: Parsed, name: string): XmlElement[] {
  const found = child(from, name);
  return found === null ? [] : [copyOf(found, 3)];
}

/** Elements and attributes without a namespace; texts only where there is nothing else. */
function copyOf(found: Parsed, depth: number): XmlElement {
  const attributes: Record<string, string> = {};
  for (let index = 0; index < found.attributes.length; index += 1) {
    const item = found.attributes.item(index);
    if (item && !item.name.includes(':') && item.name !== 'xmlns') attributes[item.name] = item.value;
  }
  const inner = children(found).filter(({ nodeName }) => !nodeName.includes(':'));
  const text = inner.length === 0 ? (found.textContent ?? '').trim() : '';
  return element(
    found.nodeName,
    attributes,
    ...(depth > 0 ? inner.map((part) => copyOf(part, depth - 1)) : []),
    text === '' ? null : text,
  );
}

function archOf(from: Parsed): string {
  return attribute(child(from, 'os', 'type'), 'arch') ?? 'x86_64';
}

function whole(text: string | null): number | null {
  const digits = text?.trim() ?? '';
  return /^\d{1,6}$/.test(digits) ? Number(digits) : null;
}
