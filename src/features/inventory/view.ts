/** Makes the contract's VM from what was last seen: definition, state, figures, our own row. Pure, so that equal input gives equal output. */

import type { Vm } from '#contract/vms.ts';
import { formatBytes } from '#kernel/units.ts';
import type { DomainFacts } from './facts.ts';
import { hashText } from './hash-text.ts';
import type { VmRow } from './rows.ts';

export type Addresses = ReadonlyMap<string, Vm['nics'][number]['addresses']>;

/** Those of leases first; the guest agent adds what it knows besides. */
export function mergeAddresses(leases: Addresses, agent: Addresses): Addresses {
  if (agent.size === 0) return leases;
  const merged = new Map(leases);
  for (const [mac, addresses] of agent) {
    const known = merged.get(mac) ?? [];
    merged.set(mac, [
      ...known,
      ...addresses.filter((address) => !known.some((other) => other.address === address.address)),
    ]);
  }
  return merged;
}

/** Everything known of one VM. */
export interface VmRecord {
  readonly id: string;
  /** Of the running guest, or of the definition when it is off. */
  readonly facts: DomainFacts;
  /** Of the next boot; null for a guest without a stored definition. */
  readonly next: DomainFacts | null;
  readonly definitionHash: string;
  readonly state: Vm['state'];
  readonly stateReason: string | null;
  readonly autostart: boolean;
  readonly persistent: boolean;
  readonly startedAt: string | null;
}

export interface ViewInput {
  readonly record: VmRecord;
  readonly row: VmRow | null;
  readonly usage: Vm['usage'];
  readonly addresses: Addresses;
  readonly operationId: string | null;
  /** Set while the host does not answer. */
  readonly staleSince: string | null;
  ofDomain(domainName: string): { readonly project: string; readonly name: string };
  describeFile(path: string): { readonly imageId: string | null; readonly name: string };
  sizeOf(path: string): { readonly sizeBytes: number | null; readonly allocatedBytes: number | null };
}

export function vmView({
  record,
  row,
  usage,
  addresses,
  operationId,
  staleSince,
  ofDomain,
  describeFile,
  sizeOf,
}: ViewInput): Vm {
  const { facts } = record;
  const isOn = ON_STATES.has(record.state);
  return {
    id: record.id,
    ...ofDomain(facts.name),
    state: staleSince === null ? record.state : 'unknown',
    stateReason: record.stateReason,
    desired: row?.desired ?? desiredOf(record.state),
    managed: row?.managed ?? facts.operationId !== null,
    isProtected: row?.isProtected ?? false,
    accel: facts.accel,
    title: facts.title,
    description: facts.description,
    tags: [...(row?.tags ?? [])],
    vcpus: facts.vcpus,
    memoryBytes: facts.memoryBytes,
    autostart: record.autostart,
    persistent: record.persistent,
    arch: facts.arch,
    machine: facts.machine,
    firmware: facts.firmware,
    hasTpm: facts.hasTpm,
    hasVnc: facts.hasVnc,
    hasSerial: facts.hasSerial,
    agent: facts.agent !== 'absent' && !isOn ? 'disconnected' : facts.agent,
    disks: facts.disks.map(({ path, ...disk }) => ({
      ...disk,
      source: path === null ? null : describeFile(path).name,
      imageId: path === null ? null : describeFile(path).imageId,
      ...(path === null ? { sizeBytes: null, allocatedBytes: null } : sizeOf(path)),
    })),
    nics: facts.nics.map((nic) => ({
      ...nic,
      addresses: isOn ? [...(addresses.get(nic.mac) ?? [])] : [],
      device: isOn ? nic.device : null,
    })),
    bootOrder: [...facts.bootOrder],
    pending: isOn && record.next ? pendingChanges(facts, record.next, describeFile, ofDomain) : [],
    startedAt: isOn ? record.startedAt : null,
    createdAt: row?.createdAt ?? null,
    usage: isOn ? usage : null,
    operationId,
    staleSince,
    etag: etagOf(record.definitionHash, record.autostart, row),
  };
}

const ON_STATES: ReadonlySet<Vm['state']> = new Set(['running', 'idle', 'paused', 'shutting_down', 'suspended']);

/** True while QEMU runs for it. */
export function isOnState(state: Vm['state']): boolean {
  return ON_STATES.has(state);
}

function desiredOf(state: Vm['state']): Vm['desired'] {
  if (state === 'paused') return 'paused';
  return state === 'running' || state === 'idle' || state === 'shutting_down' || state === 'suspended'
    ? 'running'
    : 'off';
}

/** What a client sends back as If-Match; changes with everything that an edit can change. */
export function etagOf(
  definitionHash: string,
  autostart: boolean,
  row: Pick<VmRow, 'isProtected' | 'tags'> | null,
): string {
  return hashText(`${definitionHash} ${autostart} ${row?.isProtected ?? false} ${row?.tags.join() ?? ''}`);
}

/** The fields in which the running guest differs from what it will be after its next start. */
function pendingChanges(
  now: DomainFacts,
  next: DomainFacts,
  describeFile: ViewInput['describeFile'],
  ofDomain: ViewInput['ofDomain'],
): Vm['pending'] {
  const changes: Vm['pending'] = [];
  const compare = (field: string, before: string, after: string) => {
    if (before !== after) changes.push({ field, now: before, next: after });
  };
  const sourceOf = (disk: DomainFacts['disks'][number]) =>
    disk.path === null ? 'empty' : describeFile(disk.path).name;
  compare('name', ofDomain(now.name).name, ofDomain(next.name).name);
  compare('title', now.title ?? '', next.title ?? '');
  compare('description', now.description ?? '', next.description ?? '');
  compare('vcpus', String(now.vcpus), String(next.vcpus));
  compare('memory', formatBytes(now.memoryBytes), formatBytes(next.memoryBytes));
  compare('machine', now.machine, next.machine);
  compare('firmware', now.firmware, next.firmware);
  compare('bootOrder', now.bootOrder.join(', '), next.bootOrder.join(', '));
  const disksBefore = new Map(now.disks.map((disk) => [disk.target, disk]));
  for (const disk of next.disks) {
    const before = disksBefore.get(disk.target);
    disksBefore.delete(disk.target);
    compare(`disk ${disk.target}`, before ? sourceOf(before) : 'not there', sourceOf(disk));
  }
  for (const disk of disksBefore.values()) compare(`disk ${disk.target}`, sourceOf(disk), 'not there');
  const nicsBefore = new Map(now.nics.map((nic) => [nic.mac, nic]));
  const nicText = (nic: DomainFacts['nics'][number]) =>
    `${nic.sourceType} ${nic.source ?? ''} ${nic.model ?? ''}${nic.linkUp ? '' : ' (link down)'}, filter ${nic.filter ?? 'none'}`;
  for (const nic of next.nics) {
    const before = nicsBefore.get(nic.mac);
    nicsBefore.delete(nic.mac);
    compare(`nic ${nic.mac}`, before ? nicText(before) : 'not there', nicText(nic));
  }
  for (const nic of nicsBefore.values()) compare(`nic ${nic.mac}`, nicText(nic), 'not there');
  return changes;
}
