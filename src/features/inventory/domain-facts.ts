/** A definition's facts in the inventory's terms, with the marks of our own metadata element. */

import { KIB } from '#kernel/units.ts';
import { attribute, child, children, parseXml, readDomain, textAt } from '#libvirt/index.ts';
import type { DomainFacts } from './facts.ts';

const AGENT_CHANNEL = 'org.qemu.guest_agent.0';
/** libvirt's own cap of what it sends. */
const MAX_BYTES = 1_048_576;

/** @throws AppError invalid_definition for what is no domain definition */
export function factsOf(xml: string): DomainFacts {
  const domain = readDomain(xml);
  const root = parseXml(xml, MAX_BYTES);
  const devices = child(root, 'devices');
  const links = new Map(
    (devices ? children(devices, 'interface') : []).map((nic) => [
      attribute(child(nic, 'mac'), 'address')?.toLowerCase(),
      attribute(child(nic, 'link'), 'state'),
    ]),
  );
  const channel = (devices ? children(devices, 'channel') : []).find(
    (found) => attribute(child(found, 'target'), 'name') === AGENT_CHANNEL,
  );
  const agentState = attribute(child(channel ?? root, 'target'), 'state');
  const vnc = domain.graphics.find((graphics) => graphics.type === 'vnc');
  return {
    name: domain.name,
    title: domain.title,
    description: domain.description,
    vcpus: domain.vcpus ?? 1,
    maxVcpus: domain.maxVcpus ?? 1,
    memoryBytes: (domain.currentMemoryKib ?? 0) * KIB,
    maxMemoryBytes: (domain.memoryKib ?? 0) * KIB,
    arch: domain.arch ?? 'unknown',
    machine: domain.machine ?? 'unknown',
    firmware: domain.kernelPath === null ? domain.firmware : 'kernel',
    nvramPath: domain.nvramPath,
    kernelPath: domain.kernelPath,
    initrdPath: textAt(root, 'os', 'initrd'),
    accel: domain.virtType === 'kvm' ? 'kvm' : domain.virtType === 'qemu' ? 'tcg' : 'other',
    hasTpm: domain.hasTpm,
    hasVnc: vnc !== undefined,
    vncSocketPath: vnc?.socketPath ?? null,
    hasSerial: domain.hasSerial,
    serialLogPath: domain.serialLogPath,
    agent:
      channel === undefined
        ? 'absent'
        : agentState === 'connected'
          ? 'connected'
          : agentState === 'disconnected'
            ? 'disconnected'
            : 'unknown',
    disks: domain.disks.map((disk) => ({
      target: disk.target,
      device: disk.device,
      bus: disk.bus,
      format: disk.format,
      path: disk.source,
      readOnly: disk.isReadOnly,
      bootOrder: disk.bootOrder,
    })),
    nics: domain.nics.map((nic) => ({
      mac: nic.mac ?? '',
      model: nic.model,
      sourceType: nic.sourceType,
      source: nic.source,
      linkUp: links.get(nic.mac ?? '') !== 'down',
      bootOrder: nic.bootOrder,
    })),
    bootOrder: domain.bootOrder.length > 0 ? domain.bootOrder : bootByKind(domain),
    operationId: domain.metadata['op'] ?? null,
  };
}

/** Definitions of the old way name kinds (`hd`, `cdrom`, `network`); the first device of each kind is what boots. */
function bootByKind({ bootDevices, disks, nics }: ReturnType<typeof readDomain>): string[] {
  return bootDevices.flatMap((kind) => {
    if (kind === 'network') return nics[0]?.mac ?? [];
    const device = kind === 'cdrom' ? 'cdrom' : kind === 'fd' ? 'floppy' : 'disk';
    return disks.find((disk) => disk.device === device)?.target ?? [];
  });
}
