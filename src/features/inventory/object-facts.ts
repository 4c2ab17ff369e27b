/** The facts of networks, pools and volumes from the XML that libvirt gives. It is read only; nothing here makes XML. */

import type { Network } from '#contract/networks.ts';
import { attribute, child, children, METADATA_NAMESPACE, parseXml, textAt } from '#libvirt/index.ts';
import type { VolumeReading } from './source.ts';

/** libvirt's own cap of what it sends. */
const MAX_BYTES = 1_048_576;

const FORWARD_KINDS: Readonly<Record<string, Network['kind']>> = {
  nat: 'nat',
  route: 'route',
  open: 'open',
  bridge: 'bridge',
};

export interface NetworkFacts {
  readonly kind: Network['kind'];
  readonly bridge: string | null;
  readonly addresses: Network['addresses'];
  readonly hasDhcp: boolean;
  readonly isManaged: boolean;
}

export function networkFacts(xml: string): NetworkFacts {
  const root = parseXml(xml, MAX_BYTES);
  const forward = child(root, 'forward');
  const metadata = child(root, 'metadata');
  const addresses = children(root, 'ip').flatMap((ip) => {
    const address = attribute(ip, 'address');
    if (!address) return [];
    const prefix = Number(
      attribute(ip, 'prefix') ?? prefixOf(attribute(ip, 'netmask')) ?? (address.includes(':') ? 64 : 24),
    );
    return [{ address, prefix, dhcp: child(ip, 'dhcp') !== null }];
  });
  return {
    // Without <forward> guests reach only each other and the host; <forward/> alone means NAT.
    kind: forward === null ? 'isolated' : (FORWARD_KINDS[attribute(forward, 'mode') ?? 'nat'] ?? 'other'),
    bridge: attribute(child(root, 'bridge'), 'name'),
    addresses,
    hasDhcp: addresses.some((address) => address.dhcp),
    isManaged: (metadata ? children(metadata) : []).some((mark) => mark.namespaceURI === METADATA_NAMESPACE),
  };
}

export function poolFacts(xml: string): { readonly kind: string; readonly path: string | null } {
  const root = parseXml(xml, MAX_BYTES);
  return { kind: attribute(root, 'type') ?? 'unknown', path: textAt(root, 'target', 'path') };
}

export function volumeFacts(xml: string): Omit<VolumeReading, 'name'> {
  const root = parseXml(xml, MAX_BYTES);
  return {
    path: textAt(root, 'target', 'path') ?? '',
    // libvirt writes both in bytes.
    sizeBytes: Number(textAt(root, 'capacity') ?? 0),
    allocatedBytes: Number(textAt(root, 'allocation') ?? 0),
    format: attribute(child(root, 'target', 'format'), 'type'),
  };
}

function prefixOf(netmask: string | null): number | null {
  if (!netmask) return null;
  return netmask.split('.').reduce((bits, octet) => bits + Number(octet).toString(2).replaceAll('0', '').length, 0);
}
