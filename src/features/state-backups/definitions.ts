/** What libvirt knows on this host: definitions of all VMs, also of those that are off, of networks and of pools. Without passwords: libvirt
 *  gives none to who does not ask for them. */

import type { InventoryApi } from '#features/inventory/index.ts';
import { messageOf } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import type { LibvirtHost } from '#libvirt/index.ts';
import type { Definitions } from './header.ts';

/** Those of VMs are as last seen; networks and pools are left out while libvirt does not answer. */
export async function readDefinitions(
  known: Pick<InventoryApi, 'vms' | 'definition' | 'networks' | 'pools'>,
  libvirt: Pick<LibvirtHost, 'networks' | 'pools'>,
  log: Logger,
): Promise<Definitions> {
  const found: Definitions = known.vms().flatMap(({ id, name }) => {
    const xml = known.definition(id)?.xml;
    return xml === undefined ? [] : [{ kind: 'vm' as const, id, name, xml }];
  });
  try {
    for (const { id, name } of known.networks())
      found.push({ kind: 'network', id, name, xml: await libvirt.networks.xml(id, { inactive: true }) });
    for (const { id, name } of known.pools())
      found.push({ kind: 'pool', id, name, xml: await libvirt.pools.xml(id, { inactive: true }) });
  } catch (error) {
    log.warn({ err: error }, `definitions of networks and pools are not in the state: ${messageOf(error)}`);
  }
  return found.toSorted((a, b) => (`${a.kind} ${a.id}` < `${b.kind} ${b.id}` ? -1 : 1));
}
