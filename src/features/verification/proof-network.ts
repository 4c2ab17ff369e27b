/** The network of one proof: a bridge of its own without a way out, and a packet filter that keeps the guest from the host itself, since a
 *  bridge without forwarding still leads to the host's own address. The host may begin a conversation with the guest, never the guest. */

import { createHash } from 'node:crypto';
import { element, serialize } from '#libvirt/index.ts';
import { proofName } from './proof-domain.ts';

export interface ProofNetwork {
  readonly name: string;
  /** At most 15 characters, which is what Linux takes. */
  readonly bridge: string;
  /** Table of the packet filter. */
  readonly table: string;
  /** The host's address on the bridge. */
  readonly address: string;
  readonly xml: string;
  /** For `nft -f -`; loads over one of the same name. */
  readonly rules: string;
}

export const PROOF_TABLE_PREFIX = 'hyper_proof_';
export const PROOF_PREFIX_BITS = 28;

/** First of 8192 networks of 16 addresses: the range that is set aside for tests between networks (RFC 2544), so nobody has it. */
const RANGE_START = (198 << 24) | (18 << 16);
const NETWORKS = 8192;

/** @param taken addresses that other proofs use at this moment, as `address` of theirs */
export function proofNetwork(operationId: string, taken: ReadonlySet<string> = new Set()): ProofNetwork {
  const digest = createHash('sha256').update(operationId).digest();
  const short = digest.toString('hex').slice(0, 8);
  const bridge = `hvp${short}`;
  const table = `${PROOF_TABLE_PREFIX}${short}`;
  let index = digest.readUInt32BE(4) % NETWORKS;
  while (taken.has(addressOf(index, 1)) && taken.size < NETWORKS) index = (index + 1) % NETWORKS;
  const address = addressOf(index, 1);
  const document = element(
    'network',
    {},
    element('name', {}, proofName(operationId)),
    element('bridge', { name: bridge, stp: 'off', delay: '0' }),
    element('dns', { enable: 'no' }),
    element(
      'ip',
      { address, prefix: PROOF_PREFIX_BITS },
      element('dhcp', {}, element('range', { start: addressOf(index, 2), end: addressOf(index, 14) })),
    ),
  );
  return {
    name: proofName(operationId),
    bridge,
    table,
    address,
    xml: `${serialize(document)}\n`,
    rules: rulesOf(table, bridge),
  };
}

function rulesOf(table: string, bridge: string): string {
  return `table inet ${table}
delete table inet ${table}
table inet ${table} {
  chain in {
    type filter hook input priority -150; policy accept;
    iifname "${bridge}" ct direction reply ct state established accept
    iifname "${bridge}" ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept
    iifname "${bridge}" ip saddr 198.18.0.0/15 ip daddr 198.18.0.0/15 udp sport 68 udp dport 67 accept
    iifname "${bridge}" drop
  }
  chain through {
    type filter hook forward priority -150; policy accept;
    iifname "${bridge}" drop
    oifname "${bridge}" drop
  }
}
`;
}

/** Whether the guest may be asked there: an address that it was given in its own network, and none that it only claims. */
export function isInProofNetwork(network: Pick<ProofNetwork, 'address'>, address: string): boolean {
  const [own, other] = [numberOf(network.address), numberOf(address)];
  return own !== null && other !== null && own !== other && own >>> 4 === other >>> 4;
}

function addressOf(index: number, host: number): string {
  const value = RANGE_START + index * 16 + host;
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

function numberOf(address: string): number | null {
  const parts = address.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) < 256)) return null;
  return parts.reduce((value, part) => (value << 8) | Number(part), 0) >>> 0;
}
