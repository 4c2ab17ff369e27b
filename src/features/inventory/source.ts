/** What the inventory needs of a host. `libvirt-source.ts` is the real one; tests drive the inventory with their own. */

import type { Network, Pool } from '#contract/networks.ts';
import type { Vm } from '#contract/vms.ts';
import type { DomainFacts } from './facts.ts';
import type { Counters } from './usage.ts';

/** Figures of one running domain. */
export interface DomainCounters {
  /** Another number at each start of the domain; null when it does not run. */
  readonly runId: number | null;
  readonly values: Counters;
}

export interface SeenDomain {
  readonly uuid: string;
  readonly isOn: boolean;
}

/** One domain as it is now. */
export interface DomainReading {
  readonly facts: DomainFacts;
  readonly next: DomainFacts | null;
  /** Inactive definition without secrets. */
  readonly definition: string;
  readonly state: Vm['state'];
  readonly stateReason: string | null;
  readonly autostart: boolean;
  readonly persistent: boolean;
}

export interface VolumeReading {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly allocatedBytes: number;
  readonly format: string | null;
}

export type NetworkReading = Omit<Network, 'usedBy'>;
export type PoolReading = Omit<Pool, 'volumes' | 'managed' | 'isDefault'> & {
  readonly volumes: readonly VolumeReading[];
};

export type LeaseReading = Network['leases'][number] & { readonly prefix: number };

export interface AddressReading {
  readonly mac: string;
  readonly addresses: Vm['nics'][number]['addresses'];
}

export type VmMove = 'here' | 'away';

/** A change that the host tells of. Events are hints: they say where to look, not what is. */
export type HostEvent =
  | {
      readonly kind: 'domain';
      readonly uuid: string;
      readonly intent: Vm['desired'] | null;
      /** The guest came from another host, or went to one. */
      readonly move: VmMove | null;
    }
  | { readonly kind: 'agent'; readonly uuid: string; readonly isConnected: boolean }
  | { readonly kind: 'network' | 'pool'; readonly name: string };

export interface InventorySource {
  readonly isConnected: boolean;
  /** Called at each change of `isConnected`. @returns the function that ends it */
  onConnection(listener: () => void): () => void;
  onEvent(listener: (event: HostEvent) => void): () => void;
  listDomains(): Promise<readonly SeenDomain[]>;
  /** null when it is gone. */
  readDomain(uuid: string): Promise<DomainReading | null>;
  /** @param part `plain` = state and interfaces, which no stuck QEMU holds up; `monitor` = processors, memory and disks */
  counters(uuids: readonly string[], part: 'plain' | 'monitor'): Promise<ReadonlyMap<string, DomainCounters>>;
  readNetworks(): Promise<readonly NetworkReading[]>;
  readPools(): Promise<readonly PoolReading[]>;
  /** Leases of the named networks' DHCP servers. */
  readLeases(networkName: string): Promise<readonly LeaseReading[]>;
  readAgentAddresses(uuid: string): Promise<readonly AddressReading[]>;
}
