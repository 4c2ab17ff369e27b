/** The routes of networks: libvirt's from the inventory, bridges from the kernel. */

import { DEFAULT_PROJECT } from '#contract/common.ts';
import type { Network } from '#contract/networks.ts';
import type { InventoryApi } from '#features/inventory/index.ts';
import { isUsableIn, type May, type ProjectsApi } from '#features/projects/index.ts';
import { AppError } from '#kernel/errors.ts';
import { page } from '#kernel/page.ts';
import type { FoundObject, Handlers } from '#platform/feature.ts';
import { DEFAULT_NETWORK } from './default-network.ts';
import { type HostBridge, hostBridges } from './host-bridges.ts';

type KnownNetwork = ReturnType<InventoryApi['networks']>[number];

/** By UUID, else by name. */
export function findNetwork(networks: readonly KnownNetwork[], idOrName: string): KnownNetwork | null {
  return (
    networks.find((network) => network.id === idOrName) ?? networks.find((network) => network.name === idOrName) ?? null
  );
}

/** The system owns networks and bridges; the default project may use all of them, other projects those that they were given.
 *  The NAT network may be given by its name, before the first VM makes it. */
export const networkObject = (
  network: { readonly id: string; readonly name: string },
  projects: Pick<ProjectsApi, 'usersOf'>,
): FoundObject => ({
  type: 'network',
  id: network.id,
  name: network.name,
  project: null,
  sharedWith: [
    DEFAULT_PROJECT,
    ...projects.usersOf('network', network.id),
    ...(network.name === DEFAULT_NETWORK ? projects.usersOf('network', DEFAULT_NETWORK) : []),
  ],
});

interface Asker {
  readonly may: May;
  reach(permission: 'vm.read'): unknown;
}

/** The network as the asker may see it: only VMs that he sees use it, and have leases in it. */
function asSeen(network: Network, known: InventoryApi, { may, reach }: Asker): Network {
  if (reach('vm.read') === null) return network;
  const isSeen = (vm: { readonly id: string; readonly project: string }) =>
    may('vm.read', { type: 'vm', id: vm.id, project: vm.project, vmId: vm.id });
  const macs = new Set(
    known.vms().flatMap((vm) => (vm.nics.length > 0 && isSeen(vm) ? vm.nics.map(({ mac }) => mac) : [])),
  );
  return {
    ...network,
    leases: network.leases.filter(({ mac }) => macs.has(mac)),
    usedBy: network.usedBy.filter(({ vmId, project }) => isSeen({ id: vmId, project })),
  };
}

export function createNetworkRoutes(known: InventoryApi, projects: Pick<ProjectsApi, 'usersOf' | 'get'>): Handlers {
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
    'GET /networks': async ({ query, may, reach }) => {
      const within = query.usableIn === undefined ? null : (projects.get(query.usableIn)?.id ?? '');
      const networks = (await all())
        .filter((network) => may('network.read', networkObject(network, projects)))
        .filter(
          (network) => within === null || isUsableIn(within, 'network.use', networkObject(network, projects), may),
        )
        .map((network) => asSeen(network, known, { may, reach }));
      return page(networks, query, (network) => network);
    },
    'GET /networks/{id}': async ({ params, may, reach }) => {
      const networks = await all();
      const network =
        networks.find((other) => other.id === params.id) ?? networks.find((other) => other.name === params.id);
      if (!network)
        throw new AppError('not_found', { detail: `There is no network or bridge "${params.id.slice(0, 80)}".` });
      return asSeen(network, known, { may, reach });
    },
  };
}

function usersBySource(known: InventoryApi): ReadonlyMap<string, Network['usedBy']> {
  const users = new Map<string, Network['usedBy']>();
  for (const vm of known.vms()) {
    for (const key of new Set(vm.nics.map((nic) => `${nic.sourceType} ${nic.source ?? ''}`))) {
      users.set(key, [...(users.get(key) ?? []), { vmId: vm.id, name: vm.name, project: vm.project }]);
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
