/** The network filters of libvirt behind the traffic filters of NICs, as documents. All rules look at what leaves the guest, frame by frame
 *  in the bridge (protocols `mac`, `arp`, `ip`, `ipv6`): those of `tcp` or `udp` would need the packet filter to see bridged traffic.
 *  Which filter a NIC has: nic-filters.ts of the inventory. Source: libvirt's "Network Filters", measured on 9.0. */

import { isIPv6 } from 'node:net';
import { filterUse } from '#features/inventory/index.ts';
import { attribute, children, type element as Element, element, parseXml, serialize } from '#libvirt/index.ts';

type XmlElement = ReturnType<typeof Element>;

export interface FilterDocument {
  readonly name: string;
  /** @param uuid of the filter of this name that libvirt has; null = it has none */
  xml(uuid: string | null): string;
}

export interface Host {
  /** Addresses that this machine has, of guest networks too; without prefix or zone. */
  readonly addresses: readonly string[];
  /** TCP ports of our API and of those of other daemons here. */
  readonly ports: readonly number[];
  /** The same rules in another writing: libvirt makes the rules of running guests anew only when a filter is not the one that it has. */
  readonly edition: Edition;
}

export type Edition = 0 | 1;

const IPV4 = 'hyper-ipv4';
const ARP = 'hyper-arp';

/** In the order in which they can be defined: a filter comes after those that it names. */
export function filterDocuments(host: Host): readonly FilterDocument[] {
  const mac = filterUse('mac').name;
  return [
    document(filterUse('off').name, { chain: 'root' }, []),
    document(mac, { chain: 'root' }, [...identity(), ...falseRouters(), ...thisHost(host), ...others(host.edition)]),
    document(IPV4, { chain: 'ipv4-hyper', priority: -700 }, learnedIpv4()),
    document(ARP, { chain: 'arp-hyper', priority: -500 }, learnedArp()),
    document(
      filterUse('mac_ip').name,
      { chain: 'root' },
      [mac, IPV4, ARP].map((filter) => element('filterref', { filter })),
    ),
  ];
}

function document(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  content: readonly XmlElement[],
): FilterDocument {
  return {
    name,
    xml: (uuid) =>
      serialize(element('filter', { name, ...attributes }, uuid !== null && element('uuid', {}, uuid), ...content)),
  };
}

/** Of what drops the rest. */
const LAST = 1000;

/** Lower priorities come first; those of libvirt's sub-chains lie between -1000 and 1000. */
const rule = (
  action: 'drop' | 'return',
  priority: number,
  protocol: string,
  match: Readonly<Record<string, string | number>> = {},
): XmlElement => element('rule', { action, direction: 'out', priority }, element(protocol, match));

/** No frame of another card, and no ARP in its name. */
const identity = () => [
  rule('drop', -990, 'mac', { match: 'no', srcmacaddr: '$MAC' }),
  rule('drop', -990, 'arp', { match: 'no', arpsrcmacaddr: '$MAC' }),
];

/** Answers of a DHCP server, router advertisements, redirects: by them a guest would become the way of its neighbours. */
const falseRouters = () => [
  rule('drop', -980, 'ip', { protocol: 'udp', srcportstart: 67 }),
  rule('drop', -980, 'ipv6', { protocol: 'udp', srcportstart: 547 }),
  rule('drop', -980, 'ipv6', { protocol: 'icmpv6', type: 134 }),
  rule('drop', -980, 'ipv6', { protocol: 'icmpv6', type: 137 }),
];

/** Nothing to our API, nothing that says it came from this machine. Other machines' services on the same port stay reachable. */
function thisHost(host: Host): XmlElement[] {
  return [...host.ports.flatMap((port) => closedTo(port, host)), ...ofHost(host)];
}

function closedTo(port: number, { addresses }: Host): XmlElement[] {
  const toApi = { protocol: 'tcp', dstportstart: port };
  return [
    rule('drop', -970, 'ip', { dstipaddr: '127.0.0.0', dstipmask: 8, ...toApi }),
    // A bridge gets its link-local address while its first guest starts, so all of them are meant.
    rule('drop', -970, 'ipv6', { dstipaddr: 'fe80::', dstipmask: 10, ...toApi }),
    ...addresses.map((address) =>
      rule('drop', -970, isIPv6(address) ? 'ipv6' : 'ip', { dstipaddr: address, ...toApi }),
    ),
  ];
}

const ofHost = ({ addresses }: Host): XmlElement[] =>
  addresses.flatMap((address) =>
    isIPv6(address)
      ? [rule('drop', -970, 'ipv6', { srcipaddr: address })]
      : [rule('drop', -970, 'ip', { srcipaddr: address }), rule('drop', -970, 'arp', { arpsrcipaddr: address })],
  );

/** The ports that a filter of ours, as libvirt keeps it, closes. */
export function closedPorts(xml: string): number[] {
  const ports = children(parseXml(xml), 'rule')
    .flatMap((one) => children(one))
    .filter((match) => attribute(match, 'protocol') === 'tcp' && attribute(match, 'dstipaddr') !== null)
    .map((match) => Number(attribute(match, 'dstportstart') ?? Number.NaN));
  return [...new Set(ports.filter((port) => Number.isInteger(port) && port > 0 && port < 65_536))];
}

/** What is none of these (VLAN tags, spanning tree, tunnels of other kinds) would pass by the rules above. */
const others = (edition: Edition) => [
  ...['ip', 'ipv6', 'arp', 'rarp'].map((protocol) => rule('return', -400, protocol)),
  rule('drop', LAST - edition, 'mac'),
];

/** The edition of the filter `mac`, as libvirt keeps it. */
export function editionOf(xml: string): Edition {
  const isSecond = children(parseXml(xml), 'rule').some((one) => attribute(one, 'priority') === String(LAST - 1));
  return isSecond ? 1 : 0;
}

/** `$IP` is what libvirt saw a DHCP server give. Until then a guest may ask for one. */
const learnedIpv4 = () => [
  rule('return', 100, 'ip', { srcipaddr: '0.0.0.0', protocol: 'udp', srcportstart: 68, dstportstart: 67 }),
  rule('return', 500, 'ip', { srcipaddr: '$IP' }),
  rule('drop', 1000, 'ip'),
];

/** 0.0.0.0 asks whether an address is taken. */
const learnedArp = () => [
  rule('return', 100, 'arp', { arpsrcipaddr: '0.0.0.0' }),
  rule('return', 500, 'arp', { arpsrcipaddr: '$IP' }),
  rule('drop', 1000, 'arp'),
];
