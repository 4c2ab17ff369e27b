/** Gives NICs that have no traffic filter yet one, whenever a VM of ours is defined. By MAC only: a guest that was set up with an address of
 *  its own before there were filters keeps its network. */

import { filterUse } from '#features/inventory/index.ts';
import { attribute, child, children, editDomain, parseXml } from '#libvirt/index.ts';

/** Kinds of NICs that are ports of a bridge; libvirt filters no others. */
export const FILTERED_KINDS: readonly (string | null)[] = ['network', 'bridge'];

export function withNicFilters(xml: string, maxBytes: number): string {
  const devices = child(parseXml(xml, maxBytes), 'devices');
  const bare = (devices ? children(devices, 'interface') : []).filter(
    (nic) => FILTERED_KINDS.includes(attribute(nic, 'type')) && child(nic, 'filterref') === null,
  );
  const macs = bare.flatMap((nic) => attribute(child(nic, 'mac'), 'address') ?? []);
  if (macs.length === 0) return xml;
  return editDomain(xml, { nicFilters: Object.fromEntries(macs.map((mac) => [mac, filterUse('mac')])) });
}
