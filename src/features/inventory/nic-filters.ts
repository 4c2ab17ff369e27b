/** The traffic filters of NICs: what the API calls them, and the network filters of libvirt that do it. */

import type { NicFilter, Vm } from '#contract/vms.ts';

/** Weakest first. */
export const NIC_FILTERS = ['off', 'mac', 'mac_ip'] as const satisfies readonly NicFilter[];

const LIBVIRT_NAMES: Readonly<Record<NicFilter, string>> = {
  off: 'hyper-off',
  mac: 'hyper-mac',
  mac_ip: 'hyper-mac-ip',
};

/** libvirt's name of it, and the parameters that it is used with. */
export interface FilterUse {
  readonly name: string;
  readonly parameters: Readonly<Record<string, string>>;
}

export function filterUse(filter: NicFilter): FilterUse {
  return {
    name: LIBVIRT_NAMES[filter],
    // Without it libvirt takes the first address that the guest shows for its own.
    parameters: filter === 'mac_ip' ? { CTRL_IP_LEARNING: 'dhcp' } : {},
  };
}

/** @param name of the filter that a definition names */
export function nicFilterOf(name: string | null): Vm['nics'][number]['filter'] {
  if (name === null) return null;
  return NIC_FILTERS.find((filter) => LIBVIRT_NAMES[filter] === name) ?? 'other';
}

/** Whether `filter` lets more through than `other`. */
export function isWeaker(filter: NicFilter, other: NicFilter): boolean {
  return NIC_FILTERS.indexOf(filter) < NIC_FILTERS.indexOf(other);
}
