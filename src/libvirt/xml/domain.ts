/** A domain's XML as facts. Tolerant: foreign definitions hold things we never write, and what is missing is null, not a failure. */

import type { Element } from '@xmldom/xmldom';
import { MAX_XML_BYTES as MAX_WIRE_XML_BYTES } from '../codec.ts';
import { attribute, child, children, parseXml, textAt } from './parse.ts';

/** Namespace of the one metadata element that is ours. */
export const METADATA_NAMESPACE = 'urn:hyper-nixos:1';
export const METADATA_PREFIX = 'hyper';

export interface DiskFacts {
  /** Name in the guest's bus order, as `vda`; unique in a domain. */
  readonly target: string;
  readonly bus: string | null;
  readonly device: 'disk' | 'cdrom' | 'floppy' | 'lun';
  /** `file`, `block`, `network`, `volume`, … */
  readonly sourceType: string;
  /** File, device or volume; null = no medium. */
  readonly source: string | null;
  readonly pool: string | null;
  readonly format: string | null;
  readonly bootOrder: number | null;
  readonly isReadOnly: boolean;
  /** Several VMs may write to it at once. */
  readonly isShareable: boolean;
  readonly serial: string | null;
  readonly alias: string | null;
}

export interface NicFacts {
  readonly mac: string | null;
  readonly model: string | null;
  /** `network`, `bridge`, `user`, `direct`, … */
  readonly sourceType: string;
  readonly source: string | null;
  /** Device on the host, as `vnet0`; only of a running domain. */
  readonly target: string | null;
  readonly isLinkUp: boolean;
  /** Name of its network filter. */
  readonly filter: string | null;
  readonly bootOrder: number | null;
  readonly alias: string | null;
}

export interface GraphicsFacts {
  readonly type: string;
  /** Unix socket of a running domain. */
  readonly socketPath: string | null;
  /** TCP port of a running domain; null without a TCP listener. */
  readonly port: number | null;
  readonly listen: string | null;
}

export interface DomainFacts {
  readonly uuid: string | null;
  readonly name: string;
  readonly title: string | null;
  readonly description: string | null;
  /** `kvm`, `qemu`, `test`, … */
  readonly virtType: string | null;
  readonly memoryKib: number | null;
  readonly currentMemoryKib: number | null;
  readonly maxVcpus: number | null;
  readonly vcpus: number | null;
  readonly arch: string | null;
  readonly machine: string | null;
  readonly firmware: 'bios' | 'uefi';
  readonly nvramPath: string | null;
  readonly isSecureBoot: boolean;
  readonly kernelPath: string | null;
  readonly initrdPath: string | null;
  readonly cpuMode: string | null;
  readonly disks: readonly DiskFacts[];
  readonly nics: readonly NicFacts[];
  readonly graphics: readonly GraphicsFacts[];
  readonly videoModels: readonly string[];
  readonly hasSerial: boolean;
  readonly serialLogPath: string | null;
  readonly hasAgentChannel: boolean;
  /** Whether something in the guest listens on the agent's channel; null while it is off or has none. */
  readonly isAgentConnected: boolean | null;
  readonly hasTpm: boolean;
  /** Targets of disks and MACs of NICs in boot order. */
  readonly bootOrder: readonly string[];
  /** `<boot dev=…>` of the old way, as `hd`, `cdrom`. */
  readonly bootDevices: readonly string[];
  /** Attributes of our metadata element; empty for domains that are not ours. */
  readonly metadata: Readonly<Record<string, string>>;
}

export const AGENT_CHANNEL = 'org.qemu.guest_agent.0';

/** @throws AppError invalid_definition when the text is no domain definition */
export function readDomain(xml: string): DomainFacts {
  return domainFacts(parseXml(xml, MAX_WIRE_XML_BYTES));
}

function domainFacts(domain: Element): DomainFacts {
  const devices = child(domain, 'devices');
  const of = (name: string) => (devices ? children(devices, name) : []);
  const disks = of('disk').map(diskFacts);
  const nics = of('interface').map(nicFacts);
  const vcpu = child(domain, 'vcpu');
  const maxVcpus = whole(vcpu?.textContent ?? null);
  const loader = child(domain, 'os', 'loader');
  const memoryKib = memoryOf(child(domain, 'memory'));
  const agentTarget = of('channel')
    .map((channel) => child(channel, 'target'))
    .find((target) => attribute(target, 'name') === AGENT_CHANNEL);
  const agentState = attribute(agentTarget ?? null, 'state');
  return {
    uuid: trimmed(textAt(domain, 'uuid')),
    name: textAt(domain, 'name') ?? '',
    title: textAt(domain, 'title'),
    description: textAt(domain, 'description'),
    virtType: attribute(domain, 'type'),
    memoryKib,
    currentMemoryKib: memoryOf(child(domain, 'currentMemory')) ?? memoryKib,
    maxVcpus,
    vcpus: whole(attribute(vcpu, 'current')) ?? maxVcpus,
    arch: attribute(child(domain, 'os', 'type'), 'arch'),
    machine: attribute(child(domain, 'os', 'type'), 'machine'),
    firmware:
      attribute(child(domain, 'os'), 'firmware') === 'efi' || attribute(loader, 'type') === 'pflash' ? 'uefi' : 'bios',
    nvramPath: trimmed(textAt(domain, 'os', 'nvram')),
    isSecureBoot: attribute(loader, 'secure') === 'yes',
    kernelPath: trimmed(textAt(domain, 'os', 'kernel')),
    initrdPath: trimmed(textAt(domain, 'os', 'initrd')),
    cpuMode: attribute(child(domain, 'cpu'), 'mode'),
    disks,
    nics,
    graphics: of('graphics').map(graphicsFacts),
    videoModels: of('video').flatMap((video) => attribute(child(video, 'model'), 'type') ?? []),
    hasSerial: of('serial').length > 0 || of('console').length > 0,
    serialLogPath:
      of('serial')
        .map((serial) => attribute(child(serial, 'log'), 'file'))
        .find((path) => path !== null) ?? null,
    hasAgentChannel: agentTarget !== undefined,
    isAgentConnected: agentState === null ? null : agentState === 'connected',
    hasTpm: of('tpm').length > 0,
    bootOrder: bootOrderOf(disks, nics),
    bootDevices: children(child(domain, 'os') ?? domain, 'boot').flatMap((boot) => attribute(boot, 'dev') ?? []),
    metadata: metadataOf(domain),
  };
}

function diskFacts(disk: Element): DiskFacts {
  const source = child(disk, 'source');
  const device = attribute(disk, 'device');
  return {
    target: attribute(child(disk, 'target'), 'dev') ?? '',
    bus: attribute(child(disk, 'target'), 'bus'),
    device: device === 'cdrom' || device === 'floppy' || device === 'lun' ? device : 'disk',
    sourceType: attribute(disk, 'type') ?? 'file',
    source:
      ['file', 'dev', 'volume', 'dir', 'name'].map((name) => attribute(source, name)).find((value) => value !== null) ??
      null,
    pool: attribute(source, 'pool'),
    format: attribute(child(disk, 'driver'), 'type'),
    bootOrder: whole(attribute(child(disk, 'boot'), 'order')),
    isReadOnly: child(disk, 'readonly') !== null,
    isShareable: child(disk, 'shareable') !== null,
    serial: trimmed(textAt(disk, 'serial')),
    alias: attribute(child(disk, 'alias'), 'name'),
  };
}

function nicFacts(nic: Element): NicFacts {
  const source = child(nic, 'source');
  return {
    mac: attribute(child(nic, 'mac'), 'address')?.toLowerCase() ?? null,
    model: attribute(child(nic, 'model'), 'type'),
    sourceType: attribute(nic, 'type') ?? 'user',
    source:
      ['network', 'bridge', 'dev', 'path'].map((name) => attribute(source, name)).find((value) => value !== null) ??
      null,
    target: attribute(child(nic, 'target'), 'dev'),
    isLinkUp: attribute(child(nic, 'link'), 'state') !== 'down',
    filter: attribute(child(nic, 'filterref'), 'filter'),
    bootOrder: whole(attribute(child(nic, 'boot'), 'order')),
    alias: attribute(child(nic, 'alias'), 'name'),
  };
}

function graphicsFacts(graphics: Element): GraphicsFacts {
  const listens = children(graphics, 'listen');
  const socket = listens.map((listen) => attribute(listen, 'socket')).find((path) => path !== null);
  const port = whole(attribute(graphics, 'port'));
  const address = listens.map((listen) => attribute(listen, 'address')).find((found) => found !== null);
  return {
    type: attribute(graphics, 'type') ?? '',
    socketPath: attribute(graphics, 'socket') ?? socket ?? null,
    port: port !== null && port > 0 ? port : null,
    listen: attribute(graphics, 'listen') ?? address ?? null,
  };
}

function bootOrderOf(disks: readonly DiskFacts[], nics: readonly NicFacts[]): string[] {
  const entries = [
    ...disks.map(({ target, bootOrder }) => ({ name: target, bootOrder })),
    ...nics.map(({ mac, bootOrder }) => ({ name: mac ?? '', bootOrder })),
  ];
  return entries
    .filter((entry) => entry.bootOrder !== null)
    .sort((a, b) => (a.bootOrder ?? 0) - (b.bootOrder ?? 0))
    .map(({ name }) => name);
}

/** Our element in `<metadata>`, whatever prefix it has. */
export function metadataElement(domain: Element): Element | null {
  const metadata = child(domain, 'metadata');
  return (metadata ? children(metadata) : []).find((found) => found.namespaceURI === METADATA_NAMESPACE) ?? null;
}

function metadataOf(domain: Element): Record<string, string> {
  const found = metadataElement(domain);
  const values: Record<string, string> = Object.create(null);
  for (let index = 0; found && index < found.attributes.length; index += 1) {
    const item = found.attributes.item(index);
    if (item && item.name !== 'xmlns' && !item.name.startsWith('xmlns:')) values[item.name] = item.value;
  }
  return values;
}

const UNITS: Readonly<Record<string, number>> = {
  b: 1 / 1024,
  bytes: 1 / 1024,
  kb: 1000 / 1024,
  k: 1,
  kib: 1,
  mb: 1e6 / 1024,
  m: 1024,
  mib: 1024,
  gb: 1e9 / 1024,
  g: 1024 ** 2,
  gib: 1024 ** 2,
  tb: 1e12 / 1024,
  t: 1024 ** 3,
  tib: 1024 ** 3,
};

function memoryOf(element: Element | null): number | null {
  const amount = whole(element?.textContent ?? null);
  const factor = UNITS[(attribute(element, 'unit') ?? 'KiB').toLowerCase()];
  return amount === null || factor === undefined ? null : Math.ceil(amount * factor);
}

function whole(text: string | null): number | null {
  const digits = text?.trim() ?? '';
  return /^\d{1,15}$/.test(digits) ? Number(digits) : null;
}

function trimmed(text: string | null): string | null {
  const rest = text?.trim() ?? '';
  return rest === '' ? null : rest;
}
