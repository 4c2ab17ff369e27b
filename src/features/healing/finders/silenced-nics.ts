/** NICs that libvirt switched off on the host. It does so when it cannot make the rules of a guest's new address, which happens when another
 *  program changes the packet filter at that moment (measured on libvirt 9.0 with iptables 1.8.9: one call of ebtables in seventy fails
 *  beside a program that changes all the time). The guest then has no network, and nothing but the log of libvirtd tells. */

import type { InventoryApi } from '#features/inventory/index.ts';
import type { Clock } from '#kernel/clock.ts';
import type { Hands } from '../allowed-work.ts';
import type { Finder, Found } from '../finding.ts';
import { isOn, jobOn, type KnownVm, vmObjectOf } from './vm-facts.ts';

/** A file of the kernel is read for each NIC. */
const LOOK_EVERY_MS = 10_000;
/** A start or a change that is under way settles first. */
const DELAYS_MS = [15_000, 60_000, 600_000];

interface Dependencies {
  readonly known: Pick<InventoryApi, 'vms' | 'vm' | 'staleSince'>;
  readonly hands: Pick<Hands, 'isLocked'>;
  readonly clock: Clock;
  /** Whether a network device of this machine is switched off; false for one that is not there. */
  isLinkOff(device: string): Promise<boolean>;
}

/** Devices on the host of the NICs that a filter of ours may have cost their network. */
export const filteredDevices = ({ nics }: Pick<KnownVm, 'nics'>): readonly string[] =>
  nics.flatMap(({ device, filter, linkUp }) =>
    device === null || !linkUp || filter === null || filter === 'other' ? [] : [device],
  );

export function findSilencedNics({ known, hands, clock, isLinkOff }: Dependencies): Finder {
  let lookedMs = Number.NEGATIVE_INFINITY;
  let silenced: readonly { readonly vmId: string; readonly devices: readonly string[] }[] = [];

  const look = async () => {
    lookedMs = clock.monotonicMs();
    const found: { vmId: string; devices: string[] }[] = [];
    for (const vm of known.vms().filter(isOn)) {
      const devices: string[] = [];
      for (const device of filteredDevices(vm)) if (await isLinkOff(device)) devices.push(device);
      if (devices.length > 0) found.push({ vmId: vm.id, devices });
    }
    silenced = found;
  };

  return {
    action: 'nic-up',
    delaysMs: DELAYS_MS,
    isOnce: false,
    async find(): Promise<Found | null> {
      if (known.staleSince !== null) return null;
      if (clock.monotonicMs() - lookedMs >= LOOK_EVERY_MS) await look();
      const findings = silenced.flatMap(({ vmId, devices }) => {
        const vm = known.vm(vmId);
        if (vm === null || !isOn(vm)) return [];
        return {
          object: vmObjectOf(vm),
          found: `libvirt switched off a NIC of ${vm.name} (${devices.join(', ')}): its rules could not be made, and the guest has no network`,
          remedy: 'make the rules anew and switch it on',
          obstacle: jobOn(vm, hands),
          isStillSo() {
            const now = known.vm(vmId);
            return known.staleSince === null && now !== null && isOn(now) && jobOn(now, hands) === null;
          },
          work: { kind: 'healing.nic-up', input: { vmId, name: vm.name } } as const,
        };
      });
      return { findings, isUnknown: () => false };
    },
  };
}
