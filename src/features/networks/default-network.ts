/** The NAT network `default`: defined with a subnet that clashes with nothing when a VM needs it and nobody has made it, and started. */

import type { InventoryApi } from '#features/inventory/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { Logger } from '#kernel/logger.ts';
import {
  element,
  isNotFound,
  LibvirtError,
  type LibvirtHost,
  METADATA_NAMESPACE,
  type NetworkRef,
  serialize,
} from '#libvirt/index.ts';
import { addressIn, chooseSubnet, hostSubnets, type Subnet } from './subnet.ts';

export const DEFAULT_NETWORK = 'default';

interface Dependencies {
  readonly libvirt: LibvirtHost;
  readonly known: InventoryApi;
  readonly log: Logger;
}

export interface DefaultNetwork {
  ensureActive(name: string, signal: AbortSignal): Promise<void>;
}

export function createDefaultNetwork({ libvirt, known, log }: Dependencies): DefaultNetwork {
  const find = async (name: string): Promise<NetworkRef | null> => {
    try {
      return await libvirt.networks.byName(name);
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  };

  const define = async (): Promise<NetworkRef> => {
    await known.refreshNetworks();
    const ofLibvirt = known
      .networks()
      .flatMap((network) => network.addresses.filter((address) => !address.address.includes(':')));
    const subnet = chooseSubnet([...(await hostSubnets()), ...ofLibvirt]);
    try {
      const network = await libvirt.networks.define(networkXml(subnet));
      log.info(
        { network: DEFAULT_NETWORK, subnet: `${subnet.address}/${subnet.prefix}` },
        'the NAT network was defined',
      );
      return network;
    } catch (error) {
      // Another operation of ours, or somebody else, was first.
      if (error instanceof LibvirtError && error.code === 'already_exists')
        return await libvirt.networks.byName(DEFAULT_NETWORK);
      throw error;
    }
  };

  const makeActive = async (name: string) => {
    let network = await find(name);
    if (!network) {
      if (name !== DEFAULT_NETWORK)
        throw new AppError('not_found', { detail: `There is no network "${name}" any more.` });
      network = await define();
    }
    const { uuid } = network;
    const isActive = async () => (await libvirt.networks.list({ active: true })).some((active) => active.uuid === uuid);
    if (await isActive()) return;
    try {
      await libvirt.networks.create(uuid);
      if (name === DEFAULT_NETWORK) await libvirt.networks.setAutostart(uuid, true);
    } catch (error) {
      // Two VMs that start at once both find it inactive; the second start is refused because the first succeeded.
      if (!(await isActive()))
        throw new AppError('network_not_started', { detail: `The network "${name}" does not start.`, cause: error });
    }
    await known.refreshNetworks();
  };

  const making = new Map<string, Promise<void>>();

  return {
    async ensureActive(name, signal) {
      signal.throwIfAborted();
      // VMs that start at the same moment share one look at their network.
      const made =
        making.get(name) ??
        makeActive(name).finally(() => {
          making.delete(name);
        });
      making.set(name, made);
      await made;
    },
  };
}

/** A network like libvirt's own default, on a bridge that libvirt names. */
function networkXml(subnet: Subnet): string {
  return serialize(
    element(
      'network',
      {},
      element('name', {}, DEFAULT_NETWORK),
      element('metadata', {}, element('hyper:made', { 'xmlns:hyper': METADATA_NAMESPACE })),
      element('forward', { mode: 'nat' }),
      element('bridge', { stp: 'on', delay: 0 }),
      element(
        'ip',
        { address: addressIn(subnet, 1), prefix: subnet.prefix },
        element('dhcp', {}, element('range', { start: addressIn(subnet, 2), end: addressIn(subnet, 254) })),
      ),
    ),
  );
}
