/** Whole numbers in as few bytes as they need: seven bits in a byte, the lowest first, as in LEB128. Signed ones carry their sign in
 *  the lowest bit of the first byte, beside six bits of the magnitude; so each safe integer and its negative can be written, which
 *  doubling them would not allow. Arithmetic instead of shifts above 2^31. */

const BIT_OPERATIONS_END = 2 ** 31;
const FIRST_BYTES = 4096;
/** Of one number, in bytes. */
const LONGEST = 8;

export class ByteWriter {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** 0 to 255. */
  byte(value: number): void {
    if (this.#length === this.#bytes.length) this.#grow(1);
    this.#bytes[this.#length++] = value;
  }

  /** @param value whole, 0 to 2^53 */
  unsigned(value: number): void {
    if (this.#length + LONGEST > this.#bytes.length) this.#grow(LONGEST);
    const bytes = this.#bytes;
    let at = this.#length;
    let rest = value;
    while (rest >= BIT_OPERATIONS_END) {
      bytes[at++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      bytes[at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#length = at;
  }

  /** @param value whole, -2^53 to 2^53 */
  signed(value: number): void {
    const sign = value < 0 ? 1 : 0;
    const magnitude = Math.abs(value);
    if (magnitude < 64) {
      this.byte((magnitude << 1) | sign);
      return;
    }
    this.byte(((magnitude % 64) << 1) | sign | 128);
    this.unsigned(magnitude < BIT_OPERATIONS_END ? magnitude >>> 6 : Math.floor(magnitude / 64));
  }

  /** Many at once, in a loop without calls: most of the time of a tick goes by here.
   *  @param isDelta each as the difference from the one before; the differences are safe integers */
  signedRun(values: Float64Array, isDelta: boolean): void {
    if (this.#length + LONGEST * values.length > this.#bytes.length) this.#grow(LONGEST * values.length);
    const bytes = this.#bytes;
    let at = this.#length;
    let before = 0;
    for (let n = 0; n < values.length; n += 1) {
      const value = values[n] ?? 0;
      const number = value - before;
      if (isDelta) before = value;
      const sign = number < 0 ? 1 : 0;
      const magnitude = sign === 1 ? -number : number;
      if (magnitude < 64) {
        bytes[at++] = (magnitude << 1) | sign;
      } else if (magnitude < BIT_OPERATIONS_END) {
        bytes[at++] = ((magnitude & 63) << 1) | sign | 128;
        let rest = magnitude >>> 6;
        while (rest > 127) {
          bytes[at++] = (rest & 127) | 128;
          rest >>>= 7;
        }
        bytes[at++] = rest;
      } else {
        this.#length = at;
        this.signed(number);
        at = this.#length;
      }
    }
    this.#length = at;
  }

  raw(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** What was written since the last time. Valid until something more is written. */
  take(): Uint8Array {
    const taken = this.#bytes.subarray(0, this.#length);
    this.#length = 0;
    return taken;
  }

  #grow(byBytes: number): void {
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + byBytes));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

/** Bytes that do not hold what they should. */
export class DamagedBytes extends Error {
  constructor(what: string, cause?: unknown) {
    super(what, cause === undefined ? undefined : { cause });
    this.name = 'DamagedBytes';
  }
}

/** Reads what a `ByteWriter` wrote. @throws DamagedBytes beyond the end */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const value = this.#bytes[this.#at++];
    if (value === undefined) throw new DamagedBytes('the block ends too early');
    return value;
  }

  unsigned(): number {
    let value = this.byte();
    if (value < 128) return value;
    value &= 127;
    let factor = 128;
    for (;;) {
      const next = this.byte();
      value += (next & 127) * factor;
      if (next < 128) return value;
      factor *= 128;
      if (factor > Number.MAX_SAFE_INTEGER) throw new DamagedBytes('a number is too long');
    }
  }

  signed(): number {
    const first = this.byte();
    const low = (first >> 1) & 63;
    const magnitude = first < 128 ? low : low + this.unsigned() * 64;
    return (first & 1) === 0 ? magnitude : -magnitude;
  }

  /** What `signedRun` wrote. */
  signedRun(count: number, isDelta: boolean): Float64Array {
    const bytes = this.#bytes;
    // Each takes a byte at least; a damaged count must not take the memory of the daemon.
    if (count > bytes.length - this.#at) throw new DamagedBytes('the block ends too early');
    const values = new Float64Array(count);
    let before = 0;
    for (let n = 0; n < count; n += 1) {
      const first = bytes[this.#at] ?? 128;
      let number = 0;
      if (first < 128) {
        this.#at += 1;
        number = (first & 1) === 0 ? first >> 1 : -(first >> 1);
      } else number = this.signed();
      const value = before + number;
      values[n] = value;
      if (isDelta) before = value;
    }
    return values;
  }

  raw(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new DamagedBytes('the block ends too early');
    const found = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return found;
  }

  skip(length: number): void {
    this.raw(length);
  }
}
