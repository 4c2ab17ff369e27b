/** Addresses as limits count them. */

import ipaddr from 'ipaddr.js';

/** What counts as one source: an IPv4 address, or the /64 of an IPv6 one, since whoever has one has all of it. */
export function sourceOf(address: string): string {
  const bare = address.replace(/%.*$/, '');
  if (!ipaddr.isValid(bare)) return bare;
  const parsed = ipaddr.process(bare);
  return parsed instanceof ipaddr.IPv6
    ? `${parsed.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')}::/64`
    : parsed.toString();
}
