/** Networks: lists libvirt's networks and the host's bridges, and keeps the NAT network `default` there for VMs that need it.
 *  Tables: none. Events in: none. Events out: network.changed (by the inventory). Permissions: network.read. Guide: docs/guides/vms.md */

import { networkErrors } from '#contract/networks.ts';
import { inventory } from '#features/inventory/index.ts';
import { projects } from '#features/projects/index.ts';
import { defineFeature, type FoundObject } from '#platform/feature.ts';
import { createDefaultNetwork, DEFAULT_NETWORK } from './default-network.ts';
import { hostBridges } from './host-bridges.ts';
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
  bridgeObject(name: string): FoundObject;
}

export const networks = defineFeature<NetworksApi>({
  name: 'networks',
  needs: ['projects', 'inventory'],
  errors: networkErrors,
  setup({ libvirt, use, log }) {
    const known = use(inventory);
    const registry = use(projects);
    registry.findResourcesBy('network', (id) => findNetwork(known.networks(), id) ?? bridgeLike(id));
    const defaultNetwork = createDefaultNetwork({ libvirt, known, log });
    return {
      api: {
        ensureActive: defaultNetwork.ensureActive,
        hasNetwork: (name) => name === DEFAULT_NETWORK || known.networks().some((network) => network.name === name),
        hasBridge: async (name) => (await hostBridges()).some((bridge) => bridge.name === name),
        networkObject: (name) =>
          networkObject(known.networks().find((network) => network.name === name) ?? { id: name, name }, registry),
        bridgeObject: (name) => networkObject({ id: name, name: `bridge ${name}` }, registry),
      },
      handlers: createNetworkRoutes(known, registry),
      resolvers: {
        network(id) {
          const found = findNetwork(known.networks(), id) ?? bridgeLike(id);
          return found && networkObject(found, registry);
        },
      },
    };
  },
});

/** A bridge is found by its name when it is shown; what has the form of one may be asked for. */
function bridgeLike(id: string): { readonly id: string; readonly name: string } | null {
  return /^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(id) ? { id, name: id } : null;
}
