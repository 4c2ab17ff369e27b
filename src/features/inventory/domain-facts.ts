/** A definition's facts in the inventory's terms, with the marks of our own metadata element. */

import { KIB } from '#kernel/units.ts';
import { readDomain } from '#libvirt/index.ts';
import type { DomainFacts } from './facts.ts';
import { nicFilterOf } from './nic-filters.ts';

/** @throws AppError invalid_definition for what is no domain definition */
export function factsOf(xml: string): DomainFacts {
  const domain = readDomain(xml);
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
    initrdPath: domain.initrdPath,
    accel: domain.virtType === 'kvm' ? 'kvm' : domain.virtType === 'qemu' ? 'tcg' : 'other',
    hasTpm: domain.hasTpm,
    hasVnc: vnc !== undefined,
    vncSocketPath: vnc?.socketPath ?? null,
    hasSerial: domain.hasSerial,
    serialLogPath: domain.serialLogPath,
    agent: agentOf(domain),
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
      linkUp: nic.isLinkUp,
      filter: nicFilterOf(nic.filter),
      bootOrder: nic.bootOrder,
      device: nic.target,
    })),
    bootOrder: domain.bootOrder.length > 0 ? domain.bootOrder : bootByKind(domain),
    operationId: domain.metadata['op'] ?? null,
  };
}

function agentOf({ hasAgentChannel, isAgentConnected }: ReturnType<typeof readDomain>): DomainFacts['agent'] {
  if (!hasAgentChannel) return 'absent';
  if (isAgentConnected === null) return 'unknown';
  return isAgentConnected ? 'connected' : 'disconnected';
}

/** Definitions of the old way name kinds (`hd`, `cdrom`, `network`); the first device of each kind is what boots. */
function bootByKind({ bootDevices, disks, nics }: ReturnType<typeof readDomain>): string[] {
  return bootDevices.flatMap((kind) => {
    if (kind === 'network') return nics[0]?.mac ?? [];
    const device = kind === 'cdrom' ? 'cdrom' : kind === 'fd' ? 'floppy' : 'disk';
    return disks.find((disk) => disk.device === device)?.target ?? [];
  });
}
