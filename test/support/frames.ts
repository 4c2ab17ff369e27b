/** Ethernet frames as a hostile guest sends them, and the program that sends them from inside. Checksums that nothing on the way looks at
 *  are left at zero. */

export interface Ethernet {
  readonly from: string;
  /** Default: everybody. */
  readonly to?: string;
}

const mac = (text: string) => Buffer.from(text.replaceAll(':', ''), 'hex');
const address4 = (text: string) => Buffer.from(text.split('.').map(Number));

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  for (const [n, value] of values.entries()) bytes.writeUInt16BE(value, n * 2);
  return bytes;
}

/** @param address all eight groups, as `fe80:0:0:0:0:0:0:1` */
const address6 = (address: string) => words(...address.split(':').map((group) => Number.parseInt(group, 16)));

export function frame({ from, to = 'ff:ff:ff:ff:ff:ff' }: Ethernet, etherType: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.concat([mac(to), mac(from), words(etherType), payload]);
  return Buffer.concat([bytes, Buffer.alloc(Math.max(0, 60 - bytes.length))]);
}

export function arpReply(ethernet: Ethernet, says: { readonly mac: string; readonly address: string }): Buffer {
  const sender = Buffer.concat([mac(says.mac), address4(says.address)]);
  const target = Buffer.concat([mac('ff:ff:ff:ff:ff:ff'), address4(says.address)]);
  return frame(ethernet, 0x0806, Buffer.concat([words(1, 0x0800, 0x0604, 2), sender, target]));
}

export interface Way {
  readonly source: string;
  readonly target: string;
}

export const IP_PROTOCOLS = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;

export function ipv4(ethernet: Ethernet, way: Way, protocol: keyof typeof IP_PROTOCOLS, payload: Uint8Array): Buffer {
  const header = Buffer.concat([
    words(0x4500, 20 + payload.length, 1, 0, 0x4000 + IP_PROTOCOLS[protocol], 0),
    address4(way.source),
    address4(way.target),
  ]);
  let sum = 0;
  for (let at = 0; at < header.length; at += 2) sum += header.readUInt16BE(at);
  header.writeUInt16BE(~((sum & 0xffff) + (sum >>> 16)) & 0xffff, 10);
  return frame(ethernet, 0x0800, Buffer.concat([header, payload]));
}

/** What follows the Ethernet header, to be put behind a VLAN tag as well. */
export function ipv6Packet(way: Way, protocol: keyof typeof IP_PROTOCOLS, payload: Uint8Array): Buffer {
  const header = words(0x6000, 0, payload.length, IP_PROTOCOLS[protocol] * 256 + 255);
  return Buffer.concat([header, address6(way.source), address6(way.target), payload]);
}

export const ipv6 = (ethernet: Ethernet, ...packet: Parameters<typeof ipv6Packet>): Buffer =>
  frame(ethernet, 0x86dd, ipv6Packet(...packet));

export const udp = (sourcePort: number, targetPort: number): Buffer =>
  Buffer.concat([words(sourcePort, targetPort, 8 + 16, 0), Buffer.alloc(16)]);

export const tcpSyn = (targetPort: number): Buffer => words(40_000, targetPort, 0, 1, 0, 0, 0x5002, 0xffff, 0, 0);

/** @param type 134 = router advertisement, 137 = redirect */
export const icmp6 = (type: number): Buffer => Buffer.concat([words(type * 256, 0), Buffer.alloc(36)]);

/** Linux for x86-64: reads one frame from its standard input and sends it, as it is, out of the interface with the number 2. */
export function frameSender(): Buffer {
  const code = Buffer.from(
    [
      '4881ec00100000', // sub rsp, 4096
      '31c031ff4889e6ba000800000f054189c4', // r12 = read(0, rsp, 2048)
      'b829000000bf11000000be0300000031d20f0589c7', // edi = socket(AF_PACKET, SOCK_RAW, 0)
      'b82c0000004889e64489e24531d24c8d051800000041b9140000000f05', // sendto(edi, rsp, r12, 0, address, 20)
      '31ff4439e0400f95c7b83c0000000f05', // exit(sent != r12)
      '1100000002000000000000060000000000000000', // address: AF_PACKET, interface 2, six bytes of hardware address
    ].join(''),
    'hex',
  );
  const base = 0x400000;
  const headerBytes = 64 + 56;
  const header = Buffer.alloc(headerBytes);
  header.write('7f454c46020101', 0, 'hex');
  // Executable, x86-64, version 1.
  header.writeUInt16LE(2, 16);
  header.writeUInt16LE(62, 18);
  header.writeUInt32LE(1, 20);
  // Entry; the one program header follows this header.
  header.writeBigUInt64LE(BigInt(base + headerBytes), 24);
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(64, 52);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(1, 56);
  // Load the whole file, readable and executable.
  header.writeUInt32LE(1, 64);
  header.writeUInt32LE(5, 68);
  header.writeBigUInt64LE(BigInt(base), 80);
  header.writeBigUInt64LE(BigInt(base), 88);
  header.writeBigUInt64LE(BigInt(headerBytes + code.length), 96);
  header.writeBigUInt64LE(BigInt(headerBytes + code.length), 104);
  header.writeBigUInt64LE(4096n, 112);
  return Buffer.concat([header, code]);
}
