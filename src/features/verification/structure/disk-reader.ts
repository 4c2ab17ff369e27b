/** Reads of a stranger's disk: never outside of it, never large, and numbers that are no offsets are told apart from those that are. */

/** What the readers need of a disk; an `NbdSource` is one. */
export interface ReadableDisk {
  readonly sizeBytes: number;
  read(offsetBytes: number, lengthBytes: number): Promise<Buffer>;
}

const MAX_READ_BYTES = 1024 * 1024;

/** Bytes of the disk, or null where that is not wholly inside of it. Failures of the disk itself pass through.
 *  @throws RangeError for a read that no reader of ours asks for */
export async function readInside(disk: ReadableDisk, offsetBytes: number, lengthBytes: number): Promise<Buffer | null> {
  if (lengthBytes <= 0 || lengthBytes > MAX_READ_BYTES) throw new RangeError(`a read of ${lengthBytes} bytes`);
  if (!Number.isSafeInteger(offsetBytes) || offsetBytes < 0 || offsetBytes + lengthBytes > disk.sizeBytes) return null;
  return disk.read(offsetBytes, lengthBytes);
}

/** Little-endian, 64 bits; null for what is larger than any disk. */
export function uint64(bytes: Buffer, at: number): number | null {
  const value = bytes.readBigUInt64LE(at);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value >>> 0;
});

/** CRC-32C (Castagnoli) as file systems use it, before the last inversion. */
export function crc32c(bytes: Uint8Array, start = 0xffffffff): number {
  let value = start >>> 0;
  for (const byte of bytes) value = (TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
  return value >>> 0;
}
