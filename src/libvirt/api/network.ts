/** libvirt's networks and network filters. Addressed by UUID. */

import { P } from '../table.ts';
import { type Caller, type CallOptions, flagsOf, type Impact, impactFlags, LIST_DEADLINE_MS } from './caller.ts';

export interface NetworkRef {
  readonly uuid: string;
  readonly name: string;
}

export interface DhcpLease {
  readonly bridge: string;
  readonly mac: string | null;
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
  readonly hostname: string | null;
  readonly clientId: string | null;
  readonly expires: Date;
}

const UPDATE_COMMANDS = { modify: 1, delete: 2, addLast: 3, addFirst: 4 } as const;
const UPDATE_SECTIONS = { dhcpHost: 4, dnsHost: 10 } as const;
const FEATURE_UPDATE_ORDER = 16;
const VALIDATE = 1;

export interface NetworkUpdate {
  readonly command: keyof typeof UPDATE_COMMANDS;
  readonly section: keyof typeof UPDATE_SECTIONS;
  readonly xml: string;
}

export function createNetworkApi({ call }: Caller) {
  const netOf = (uuid: string) => ({ name: '', uuid });

  return {
    networks: {
      async list(
        options: CallOptions & { readonly active?: boolean; readonly autostart?: boolean } = {},
      ): Promise<readonly NetworkRef[]> {
        const flags = flagsOf(
          options.active !== undefined && (options.active ? 2 : 1),
          options.autostart !== undefined && (options.autostart ? 16 : 32),
        );
        return (await call(P.connectListAllNetworks, { need: 1, flags }, { deadlineMs: LIST_DEADLINE_MS, ...options }))
          .nets;
      },
      async byName(name: string, options?: CallOptions): Promise<NetworkRef> {
        return (await call(P.networkLookupByName, { name }, options)).net;
      },
      async byUuid(uuid: string, options?: CallOptions): Promise<NetworkRef> {
        return (await call(P.networkLookupByUuid, { uuid }, options)).net;
      },
      async define(xml: string, options: CallOptions & { readonly validate?: boolean } = {}): Promise<NetworkRef> {
        return (await call(P.networkDefineXmlFlags, { xml, flags: options.validate === false ? 0 : VALIDATE }, options))
          .net;
      },
      async create(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.networkCreate, { net: netOf(uuid) }, { deadlineMs: 30_000, ...options });
      },
      async destroy(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.networkDestroy, { net: netOf(uuid) }, options);
      },
      async undefine(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.networkUndefine, { net: netOf(uuid) }, options);
      },
      async xml(uuid: string, options: CallOptions & { readonly inactive?: boolean } = {}): Promise<string> {
        return (await call(P.networkGetXmlDesc, { net: netOf(uuid), flags: flagsOf(options.inactive && 1) }, options))
          .xml;
      },
      async setAutostart(uuid: string, autostart: boolean, options?: CallOptions): Promise<void> {
        await call(P.networkSetAutostart, { net: netOf(uuid), autostart: autostart ? 1 : 0 }, options);
      },
      /** Changes one entry without a restart of the network. */
      async update(uuid: string, change: NetworkUpdate, options: CallOptions & Impact = {}): Promise<void> {
        const { supported } = await call(P.connectSupportsFeature, { feature: FEATURE_UPDATE_ORDER }, options);
        const command = UPDATE_COMMANDS[change.command];
        const section = UPDATE_SECTIONS[change.section];
        // Hosts without this feature take the two numbers in the other order.
        const order = supported !== 0 ? { command, section } : { command: section, section: command };
        await call(
          P.networkUpdate,
          { net: netOf(uuid), ...order, parentIndex: -1, xml: change.xml, flags: impactFlags(options) },
          options,
        );
      },
      async leases(uuid: string, options: CallOptions & { readonly mac?: string } = {}): Promise<DhcpLease[]> {
        const { leases } = await call(
          P.networkGetDhcpLeases,
          { net: netOf(uuid), mac: options.mac ?? null, need: 1, flags: 0 },
          options,
        );
        return leases.map((lease) => ({
          bridge: lease.iface,
          mac: lease.mac,
          address: lease.ipaddr,
          prefix: lease.prefix,
          family: lease.type === 0 ? 'ipv4' : 'ipv6',
          hostname: lease.hostname,
          clientId: lease.clientid,
          expires: new Date(Number(lease.expirytime) * 1000),
        }));
      },
    },
    networkFilters: {
      // Listing them all is left out on purpose: while it waits for one filter, libvirtd 9.0 keeps others locked that a starting VM needs, and
      // neither goes on, nor does anything after them until libvirtd is killed.
      async byName(name: string, options?: CallOptions): Promise<NetworkRef> {
        return (await call(P.nwfilterLookupByName, { name }, options)).nwfilter;
      },
      async define(xml: string, options?: CallOptions): Promise<NetworkRef> {
        return (await call(P.nwfilterDefineXmlFlags, { xml, flags: VALIDATE }, options)).nwfilter;
      },
      async undefine(uuid: string, options?: CallOptions): Promise<void> {
        await call(P.nwfilterUndefine, { nwfilter: netOf(uuid) }, options);
      },
      async xml(uuid: string, options?: CallOptions): Promise<string> {
        return (await call(P.nwfilterGetXmlDesc, { nwfilter: netOf(uuid), flags: 0 }, options)).xml;
      },
    },
  };
}
