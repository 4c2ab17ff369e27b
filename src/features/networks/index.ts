/** Networks: lists libvirt's networks and the host's bridges, keeps the NAT network `default` there for VMs that need it, and the traffic
 *  filters of NICs.
 *  Tables: none. Events in: none. Events out: network.changed (by the inventory). Permissions: network.read. Guide: docs/guides/vms.md */

import { networkErrors } from '#contract/networks.ts';
import type { NicFilter } from '#contract/vms.ts';
import { inventory } from '#features/inventory/index.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature, type FoundObject } from '#platform/feature.ts';
import { createDefaultNetwork, DEFAULT_NETWORK } from './default-network.ts';
import { hostBridges } from './host-bridges.ts';
import { createNicFilters } from './nic-filters.ts';
import { createNetworkRoutes, findNetwork, networkObject } from './routes.ts';

export { networkObject } from './routes.ts';

export interface NetworksApi {
  /** Starts a network of libvirt; defines `default` first where it is missing. @throws network_not_started, no_free_subnet, not_found */
  ensureActive(name: string, signal: AbortSignal): Promise<void>;
  /** Whether libvirt has it; `default` counts always: it is made when it is needed. */
  hasNetwork(name: string): boolean;
  /** Bridges of the host that NICs can attach to. */
  hasBridge(name: string): Promise<boolean>;
  /** A network as an object of policy, whether it is there or not. */
  networkObject(name: string): FoundObject;
  /** The traffic filter that a new NIC gets: by address too where libvirt gives the addresses. */
  defaultFilter(network: string | null): NicFilter;
  /** Makes sure that the filters are in libvirt, with the addresses that this machine has now. False: libvirt cannot filter here. */
  ensureFilters(): Promise<boolean>;
  /** Has libvirt make the rules of all running guests anew, with the addresses that it knows of them.
   *  @throws AppError nic_filter_unavailable, failures of libvirt */
  renewFilters(): Promise<void>;
  /** What was last found. Never waits. */
  hasFilters(): boolean;
  bridgeObject(name: string): FoundObject;
}

export const networks = defineFeature<NetworksApi>({
  name: 'networks',
  needs: ['projects', 'inventory'],
  errors: networkErrors,
  setup({ libvirt, use, log, clock, address }) {
    const known = use(inventory);
    const registry = use(projects);
    registry.findResourcesBy('network', (id) => findNetwork(known.networks(), id) ?? bridgeLike(id));
    const defaultNetwork = createDefaultNetwork({ libvirt, known, log });
    const filters = createNicFilters({
      libvirt,
      known,
      port: () => Number(new URL(address().origin).port || 443),
      clock,
      log,
    });
    let running: Promise<void> = Promise.resolve();
    return {
      api: {
        ensureActive: defaultNetwork.ensureActive,
        hasNetwork: (name) => name === DEFAULT_NETWORK || known.networks().some((network) => network.name === name),
        hasBridge: async (name) => (await hostBridges()).some((bridge) => bridge.name === name),
        networkObject: (name) =>
          networkObject(known.networks().find((network) => network.name === name) ?? { id: name, name }, registry),
        defaultFilter(name) {
          const network = known.networks().find((candidate) => candidate.name === name);
          const givesAddresses = network?.addresses.some(({ dhcp }) => dhcp) ?? name === DEFAULT_NETWORK;
          return givesAddresses ? 'mac_ip' : 'mac';
        },
        ensureFilters: filters.ensure,
        renewFilters: filters.renew,
        hasFilters: filters.isThere,
        bridgeObject: (name) => networkObject({ id: name, name: `bridge ${name}` }, registry),
      },
      handlers: createNetworkRoutes(known, registry),
      resolvers: {
        network(id) {
          const found = findNetwork(known.networks(), id) ?? bridgeLike(id);
          return found && networkObject(found, registry);
        },
      },
      async start(signal) {
        running = filters.run(signal);
      },
      async stop() {
        await running;
      },
    };
  },
});

/** A bridge is found by its name when it is shown; what has the form of one may be asked for. */
function bridgeLike(id: string): { readonly id: string; readonly name: string } | null {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(id) ? { id, name: id } : null;
}
