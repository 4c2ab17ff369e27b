/** What a create or an edit will do, told before it is done. */

import type { VmPlan } from '#contract/vms.ts';
import { formatBytes } from '#kernel/units.ts';
import { bytesPromised, bytesToWrite, type CreateOrder } from './create-order.ts';
import type { ResolvedEdit } from './edit-order.ts';
import type { HostSpace } from './host-space.ts';
import type { Accelerator } from './ports.ts';

type Steps = readonly { readonly name: string; readonly title: string }[];

export interface CreatePlanInput {
  readonly order: CreateOrder;
  readonly steps: Steps;
  readonly space: HostSpace;
  readonly accel: ReturnType<Accelerator>;
  /** As people know the file. */
  nameOf(path: string): string;
}

export function createPlan({ order, steps, space, accel, nameOf }: CreatePlanInput): VmPlan {
  const changes: VmPlan['changes'] = [];
  const add = (field: string, after: string | null) => {
    if (after !== null) changes.push({ field, now: null, after, effect: 'live' });
  };
  add('name', order.name);
  add('title', order.title);
  add('vcpus', String(order.vcpus));
  add('memory', formatBytes(order.memoryBytes));
  add(
    'firmware',
    order.kernel
      ? `kernel ${nameOf(order.kernel.path)}`
      : order.uefi
        ? `UEFI${order.uefi.isSecureBoot ? ' with Secure Boot' : ''}`
        : 'BIOS',
  );
  add('acceleration', order.accel === 'kvm' ? 'KVM' : 'software emulation (TCG)');
  add('tpm', order.hasTpm ? '2.0, emulated' : null);
  add('screen', order.hasGraphics ? 'VNC on a local socket' : 'none (serial console only)');
  add('iso', order.isoPath === null ? null : nameOf(order.isoPath));
  for (const [n, disk] of order.disks.entries()) {
    add(
      `disks.${n}`,
      `${formatBytes(disk.sizeBytes)} ${disk.format}${disk.source ? `, copy of ${nameOf(disk.source.path)}` : ', empty'}`,
    );
  }
  for (const [n, nic] of order.nics.entries())
    add(
      `nics.${n}`,
      `${nic.mac} on ${nic.bridge === null ? `network ${nic.network}` : `bridge ${nic.bridge}`}, filter ${nic.filter ?? 'none'}`,
    );
  add('cloudInit', order.hasSeed ? 'seed drive' : null);
  add('autostart', order.isAutostart ? 'yes' : null);
  add('isProtected', order.isProtected ? 'yes' : null);
  add('tags', order.tags.length === 0 ? null : order.tags.join(', '));
  return {
    changes,
    steps: steps.map(({ name, title }) => ({ name, title })),
    warnings: createWarnings(order, space, accel),
    accel: order.accel,
    needs: {
      memoryBytes: order.isStarted ? order.memoryBytes : 0,
      diskBytes: bytesToWrite(order),
      freeMemoryBytes: space.freeMemoryBytes,
      freeDiskBytes: space.freeDiskBytes,
    },
  };
}

function createWarnings(order: CreateOrder, space: HostSpace, accel: ReturnType<Accelerator>): string[] {
  const warnings: string[] = [];
  if (order.accel === 'tcg') {
    warnings.push(
      accel === 'kvm'
        ? 'It runs in software emulation as asked: many times slower than KVM.'
        : accel === 'unknown'
          ? 'KVM has not been tested here yet, so it runs in software emulation: many times slower. `hv preflight` tests it.'
          : 'KVM does not work on this host, so it runs in software emulation: many times slower. `hv preflight` says why.',
    );
  }
  if (order.vcpus > space.cpus)
    warnings.push(`It has more vCPUs (${order.vcpus}) than the host has CPUs (${space.cpus}).`);
  if (order.isStarted && order.memoryBytes > space.freeMemoryBytes) {
    warnings.push(
      `Only ${formatBytes(space.freeMemoryBytes)} of memory are free now; other programs may be pushed out or the start may fail.`,
    );
  }
  if (space.freeDiskBytes - bytesPromised(order) < space.diskFloorBytes) {
    warnings.push(
      `Full disks would take ${formatBytes(bytesPromised(order))}; only ${formatBytes(space.freeDiskBytes)} are free. The VM pauses when the space runs out.`,
    );
  }
  if (order.nics.some(({ filter }) => filter === null))
    warnings.push('Nothing filters what its NICs send: libvirt cannot do that on this host. `hv preflight` says why.');
  if (order.hasNetworkData && order.nics.some(({ filter }) => filter === 'mac_ip'))
    warnings.push(
      'The filter mac_ip lets out only the address that a NIC gets by DHCP: with an address set in the guest it stays mute. Choose the filter mac for that.',
    );
  if (order.disks.length === 0 && order.isoPath === null && order.kernel === null)
    warnings.push('It has neither disk nor ISO: it can only boot from the network.');
  return warnings;
}

export interface EditPlanInput {
  readonly resolved: ResolvedEdit;
  readonly steps: Steps;
  readonly space: HostSpace;
  readonly memoryBytes: number;
  readonly accel: 'kvm' | 'tcg';
}

export function editPlan({ resolved, steps, space, memoryBytes, accel }: EditPlanInput): VmPlan {
  return {
    changes: resolved.changes,
    steps: steps.map(({ name, title }) => ({ name, title })),
    warnings: resolved.warnings,
    accel,
    needs: { memoryBytes, diskBytes: 0, freeMemoryBytes: space.freeMemoryBytes, freeDiskBytes: space.freeDiskBytes },
  };
}
