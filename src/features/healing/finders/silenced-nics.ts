/** NICs that libvirt switched off on the host. It does so when it cannot make the rules of a guest's new address, which happens when another
 *  program changes the packet filter at that moment (measured on libvirt 9.0 with iptables 1.8.9: one call of ebtables in thirty fails
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

const WITHOUT_RIGHT = {
  text: 'hyperd does not run as root here. Stop the VM and start it again.',
  isWorthTelling: true,
} as const;

interface Dependencies {
  readonly known: Pick<InventoryApi, 'vms' | 'vm' | 'staleSince'>;
  readonly hands: Pick<Hands, 'isLocked'>;
  readonly clock: Clock;
  /** Whether a network device of this machine is switched off; false for one that is not there. */
  isLinkOff(device: string): Promise<boolean>;
  /** Whether this process may switch them on. */
  mayChangeLinks(): Promise<boolean>;
}

/** Devices on the host of the NICs that libvirt may have switched off: those whose rules follow the address of the guest. Another one that
 *  is off was switched off by somebody. Source: virNWFilterInstantiateFilterLate of libvirt, which only the learning of addresses calls. */
const learningDevices = ({ nics }: Pick<KnownVm, 'nics'>): readonly string[] =>
  nics.flatMap(({ device, filter, linkUp }) => (device === null || !linkUp || filter !== 'mac_ip' ? [] : [device]));

/** Those of them that are off. */
export async function silencedDevices(
  vm: Pick<KnownVm, 'nics'>,
  isLinkOff: Dependencies['isLinkOff'],
): Promise<readonly string[]> {
  const off: string[] = [];
  for (const device of learningDevices(vm)) if (await isLinkOff(device)) off.push(device);
  return off;
}

export function findSilencedNics({ known, hands, clock, isLinkOff, mayChangeLinks }: Dependencies): Finder {
  let lookedMs = Number.NEGATIVE_INFINITY;
  let silenced: readonly { readonly vmId: string; readonly devices: readonly string[] }[] = [];

  const look = async () => {
    lookedMs = clock.monotonicMs();
    const found: { vmId: string; devices: readonly string[] }[] = [];
    for (const vm of known.vms().filter(isOn)) {
      const devices = await silencedDevices(vm, isLinkOff);
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
      const withoutRight = silenced.length === 0 || (await mayChangeLinks()) ? null : WITHOUT_RIGHT;
      const findings = silenced.flatMap(({ vmId, devices }) => {
        const vm = known.vm(vmId);
        if (vm === null || !isOn(vm)) return [];
        return {
          object: vmObjectOf(vm),
          found: `a NIC of ${vm.name} is switched off on the host (${devices.join(', ')}), as libvirt does when its rules cannot be made, and the guest has no network`,
          remedy: 'make the rules anew and switch it on',
          obstacle: jobOn(vm, hands) ?? withoutRight,
          isStillSo() {
            const now = known.vm(vmId);
            return known.staleSince === null && now !== null && isOn(now) && jobOn(now, hands) === null;
          },
          work: { kind: 'healing.nic-up', input: { vmId, name: vm.name } } as const,
        };
      });
      // The NIC of one that stands still is looked at when it goes on.
      const isStanding = (vm: KnownVm) => !isOn(vm) && vm.nics.some(({ device }) => device !== null);
      return {
        findings,
        isUnknown(vmId) {
          const vm = known.vm(vmId);
          return vm !== null && isStanding(vm);
        },
      };
    },
  };
}
