/** XDR (RFC 4506), the byte encoding below libvirt's RPC: 4-byte units, big-endian, strings and opaques padded with zeros.
 *  Knows nothing of libvirt's messages. Every read is checked against the bytes left, so hostile counts cost nothing. */

/** Bytes that cannot be decoded, or a value that cannot be encoded. */
export class XdrError extends Error {
  override readonly name = 'XdrError';
}

/** libvirt 9.0: REMOTE_STRING_MAX. */
export const MAX_STRING_BYTES = 4_194_304;

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

const DASH = 45;
const NO_DIGIT = 16;
/** Values of hexadecimal digits by character code. */
const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(code).toLowerCase());
  return digit < 0 ? NO_DIGIT : digit;
});

export class XdrEncoder {
  #bytes: Buffer;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafe(initialBytes);
  }

  /** Makes room for `count` bytes and returns where they begin. */
  #reserve(count: number): number {
    const at = this.#length;
    const wanted = at + count;
    if (wanted > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(wanted, this.#bytes.length * 2));
      this.#bytes.copy(grown, 0, 0, at);
      this.#bytes = grown;
    }
    this.#length = wanted;
    return at;
  }

  uint(value: number): void {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
      throw new XdrError(`${value} is not an unsigned 32-bit number`);
    const at = this.#reserve(4); // first: it may replace the buffer
    this.#bytes.writeUInt32BE(value, at);
  }

  int(value: number): void {
    if (!Number.isInteger(value) || value < -0x80000000 || value > 0x7fffffff)
      throw new XdrError(`${value} is not a signed 32-bit number`);
    const at = this.#reserve(4);
    this.#bytes.writeInt32BE(value, at);
  }

  uhyper(value: bigint): void {
    if (value < 0n || value > 0xffffffffffffffffn) throw new XdrError(`${value} is not an unsigned 64-bit number`);
    const at = this.#reserve(8);
    this.#bytes.writeBigUInt64BE(value, at);
  }

  hyper(value: bigint): void {
    if (value < -0x8000000000000000n || value > 0x7fffffffffffffffn)
      throw new XdrError(`${value} is not a signed 64-bit number`);
    const at = this.#reserve(8);
    this.#bytes.writeBigInt64BE(value, at);
  }

  double(value: number): void {
    const at = this.#reserve(8);
    this.#bytes.writeDoubleBE(value, at);
  }

  string(value: string): void {
    if (value.includes('\0')) throw new XdrError('a string holds a NUL character');
    const count = Buffer.byteLength(value);
    if (count > MAX_STRING_BYTES)
      throw new XdrError(`a string has ${count} bytes, at most ${MAX_STRING_BYTES} are allowed`);
    this.uint(count);
    const at = this.#reserve((count + 3) & ~3);
    this.#bytes.write(value, at);
    this.#bytes.fill(0, at + count, this.#length);
  }

  /** Variable opaque: length, bytes, padding. */
  opaque(value: Uint8Array): void {
    this.uint(value.length);
    this.fixed(value);
  }

  /** Fixed opaque: bytes and padding. */
  fixed(value: Uint8Array): void {
    const at = this.#reserve((value.length + 3) & ~3);
    this.#bytes.set(value, at);
    this.#bytes.fill(0, at + value.length, this.#length);
  }

  /** 16 bytes from `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`; dashes may be left out. */
  uuid(value: string): void {
    const at = this.#reserve(16);
    let digits = 0;
    let byte = 0;
    for (let index = 0; index < value.length; index += 1) {
      const code = value.charCodeAt(index);
      if (code === DASH) continue;
      const digit = code < 128 ? (DIGITS[code] ?? NO_DIGIT) : NO_DIGIT;
      if (digit === NO_DIGIT || digits === 32) throw new XdrError('a UUID is malformed');
      if (digits % 2 === 1) this.#bytes[at + (digits >> 1)] = byte * 16 + digit;
      byte = digit;
      digits += 1;
    }
    if (digits !== 32) throw new XdrError('a UUID is malformed');
  }

  /** The bytes written; valid until the encoder is used again. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

export class XdrDecoder {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.#bytes.length - at) throw new XdrError(`${count} bytes wanted, ${this.#bytes.length - at} left`);
    this.#at = at + count;
    return at;
  }

  uint(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  int(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  uhyper(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8));
  }

  hyper(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  /** Unsigned 64 bits as a number while it is exact, else as a bigint. */
  uhyperNumber(): number | bigint {
    const at = this.#take(8);
    const high = this.#bytes.readUInt32BE(at);
    if (high < 0x200000) return high * 0x100000000 + this.#bytes.readUInt32BE(at + 4);
    return this.#bytes.readBigUInt64BE(at);
  }

  /** Signed 64 bits as a number while it is exact, else as a bigint. */
  hyperNumber(): number | bigint {
    const at = this.#take(8);
    const high = this.#bytes.readInt32BE(at);
    if (high < 0x200000 && high >= -0x1fffff) return high * 0x100000000 + this.#bytes.readUInt32BE(at + 4);
    return this.#bytes.readBigInt64BE(at);
  }

  double(): number {
    return this.#bytes.readDoubleBE(this.#take(8));
  }

  string(): string {
    const count = this.#length(MAX_STRING_BYTES);
    const at = this.#take((count + 3) & ~3);
    return this.#bytes.toString('utf8', at, at + count);
  }

  /** A string that repeats often, as a parameter name: its bytes are looked up in `cache` before a new one is made. */
  cachedString(cache: StringCache): string {
    const count = this.#length(MAX_STRING_BYTES);
    const at = this.#take((count + 3) & ~3);
    return cache.get(this.#bytes, at, count);
  }

  /** A copy: the message's own bytes are overwritten by the next one. */
  opaque(): Buffer {
    const count = this.#length(this.remaining);
    const at = this.#take((count + 3) & ~3);
    return Buffer.from(this.#bytes.subarray(at, at + count));
  }

  uuid(): string {
    const at = this.#take(16);
    let text = '';
    for (let index = 0; index < 16; index += 1) {
      if (index === 4 || index === 6 || index === 8 || index === 10) text += '-';
      text += HEX[this.#bytes[at + index] ?? 0];
    }
    return text;
  }

  /** An element count, refused when that many elements of `minimumBytes` cannot follow. */
  count(minimumBytes: number): number {
    const count = this.uint();
    if (count * minimumBytes > this.remaining)
      throw new XdrError(`${count} elements announced, ${this.remaining} bytes left`);
    return count;
  }

  #length(limit: number): number {
    const count = this.uint();
    if (count > limit) throw new XdrError(`a length of ${count} bytes is over the limit`);
    return count;
  }

  /** @throws XdrError when bytes are left over: the message is not what we took it for. */
  end(): void {
    if (this.remaining > 0) throw new XdrError(`${this.remaining} bytes left over`);
  }
}

/** Strings by their bytes, bounded; a miss or a collision only costs time. */
export class StringCache {
  readonly #slots: ({ readonly bytes: Uint8Array; readonly text: string } | undefined)[];

  constructor(slots = 4096) {
    this.#slots = new Array(slots);
  }

  get(source: Buffer, at: number, count: number): string {
    let hash = count;
    for (let index = at; index < at + count; index += 1) hash = (Math.imul(hash, 31) + (source[index] ?? 0)) | 0;
    const slot = (hash >>> 0) % this.#slots.length;
    const known = this.#slots[slot];
    if (known && known.bytes.length === count && sameBytes(known.bytes, source, at)) return known.text;
    const text = source.toString('utf8', at, at + count);
    if (count <= 256) this.#slots[slot] = { bytes: Uint8Array.prototype.slice.call(source, at, at + count), text };
    return text;
  }
}

function sameBytes(known: Uint8Array, source: Buffer, at: number): boolean {
  for (let index = 0; index < known.length; index += 1) if (known[index] !== source[at + index]) return false;
  return true;
}
