/** Chooses a subnet for the NAT network that clashes with nothing the host already reaches. */

import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { AppError } from '#kernel/errors.ts';

/** An IPv4 subnet: network address and prefix length. */
export interface Subnet {
  readonly address: string;
  readonly prefix: number;
}

/** libvirt's own choice first, then neighbours, then less usual private ranges. All are /24. */
const CANDIDATES: readonly string[] = [
  '192.168.122.0',
  ...Array.from({ length: 40 }, (_, index) => `192.168.${200 + index}.0`),
  ...Array.from({ length: 40 }, (_, index) => `10.${180 + index}.77.0`),
  ...Array.from({ length: 16 }, (_, index) => `172.${16 + index}.177.0`),
];

/** The first candidate that overlaps none of `taken`.
 *  @throws AppError no_free_subnet */
export function chooseSubnet(taken: readonly Subnet[]): Subnet {
  for (const address of CANDIDATES) {
    const candidate = { address, prefix: 24 };
    if (!taken.some((other) => overlap(candidate, other))) return candidate;
  }
  throw new AppError('no_free_subnet', { params: { tried: CANDIDATES.length } });
}

/** What the host's main routing table and its interfaces hold. The default route does not count: it covers everything. */
export async function hostSubnets(): Promise<Subnet[]> {
  const routes = parseRoutes(await readFile('/proc/net/route', 'utf8'));
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter((address) => address.family === 'IPv4' && address.cidr !== null)
    .map((address) => ({ address: address.address, prefix: Number(address.cidr?.split('/')[1] ?? 32) }));
  return [...routes, ...own];
}

/** Reads `/proc/net/route`: addresses are 32-bit hexadecimal in the machine's byte order (little endian on all that we run on). */
export function parseRoutes(text: string): Subnet[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .filter((columns) => columns.length > 7 && columns[1] !== '00000000')
    .map((columns) => ({ address: addressOf(swapped(columns[1] ?? '')), prefix: bitsOf(swapped(columns[7] ?? '')) }))
    .filter((subnet) => subnet.prefix > 0);
}

export function overlap(a: Subnet, b: Subnet): boolean {
  const mask = maskOf(Math.min(a.prefix, b.prefix));
  return (numberOf(a.address) & mask) >>> 0 === (numberOf(b.address) & mask) >>> 0;
}

/** The `n`th address of the subnet, as text. */
export function addressIn(subnet: Subnet, n: number): string {
  return addressOf(((numberOf(subnet.address) & maskOf(subnet.prefix)) >>> 0) + n);
}

function swapped(hex: string): number {
  return Buffer.from(hex.padStart(8, '0'), 'hex').readUInt32LE();
}

function numberOf(address: string): number {
  return address.split('.').reduce((value, octet) => value * 256 + Number(octet), 0);
}

function addressOf(value: number): string {
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
}

function maskOf(prefix: number): number {
  return prefix === 0 ? 0 : (0xffffffff << (32 - prefix)) >>> 0;
}

function bitsOf(mask: number): number {
  return mask.toString(2).replaceAll('0', '').length;
}
