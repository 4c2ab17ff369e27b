/** The routes of networks: libvirt's from the inventory, bridges from the kernel. */

import type { Network } from '#contract/networks.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import type { ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';
import { type HostBridge, hostBridges } from './host-bridges.ts';

type KnownNetwork = ReturnType<InventoryApi['networks']>[number];

/** By UUID, else by name. */
export function findNetwork(networks: readonly KnownNetwork[], idOrName: string): KnownNetwork | null {
  return (
    networks.find((network) => network.id === idOrName) ?? networks.find((network) => network.name === idOrName) ?? null
  );
}

/** The system owns networks and bridges; projects may use those that they were given. */
export const networkObject = (
  network: { readonly id: string; readonly name: string },
  projects: Pick<ProjectsApi, 'usersOf'>,
): FoundObject => ({
  type: 'network',
  id: network.id,
  name: network.name,
  project: null,
  sharedWith: projects.usersOf('network', network.id),
});

export function createNetworkRoutes(known: InventoryApi, projects: Pick<ProjectsApi, 'usersOf'>): Handlers {
  const all = async (): Promise<Network[]> => {
    const users = usersBySource(known);
    const networks = known.networks();
    const owned = new Set(networks.map((network) => network.bridge));
    const bridges = (await hostBridges()).filter((bridge) => !owned.has(bridge.name));
    return [
      ...networks.map(
        (network): Network => ({
          ...network,
          state: known.staleSince === null ? network.state : 'unknown',
          usedBy: users.get(`network ${network.name}`) ?? [],
        }),
      ),
      ...bridges.map((bridge) => bridgeView(bridge, users.get(`bridge ${bridge.name}`) ?? [])),
    ];
  };

  return {
    'GET /networks': async ({ query, may }) => {
      const networks = (await all()).filter((network) => may('network.read', networkObject(network, projects)));
      const from =
        query.cursor === undefined ? 0 : Math.max(0, networks.findIndex((network) => network.id === query.cursor) + 1);
      const items = networks.slice(from, from + query.limit);
      return {
        items,
        next: from + query.limit < networks.length ? (items.at(-1)?.id ?? null) : null,
        total: networks.length,
      };
    },
    'GET /networks/{id}': async ({ params }) => {
      const networks = await all();
      const network =
        networks.find((other) => other.id === params.id) ?? networks.find((other) => other.name === params.id);
      if (!network)
        throw new AppError('not_found', { detail: `There is no network or bridge "${params.id.slice(0, 80)}".` });
      return network;
    },
  };
}

function usersBySource(known: InventoryApi): ReadonlyMap<string, Network['usedBy']> {
  const users = new Map<string, { vmId: string; name: string }[]>();
  for (const vm of known.vms()) {
    for (const key of new Set(vm.nics.map((nic) => `${nic.sourceType} ${nic.source ?? ''}`))) {
      users.set(key, [...(users.get(key) ?? []), { vmId: vm.id, name: vm.name }]);
    }
  }
  return users;
}

function bridgeView(bridge: HostBridge, usedBy: Network['usedBy']): Network {
  return {
    id: bridge.name,
    name: bridge.name,
    state: bridge.isUp ? 'active' : 'inactive',
    kind: 'host_bridge',
    bridge: bridge.name,
    addresses: bridge.addresses.map((address) => ({ ...address, dhcp: false })),
    autostart: false,
    managed: false,
    leases: [],
    usedBy,
  };
}
