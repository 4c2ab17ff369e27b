/** A set of ids in memory of a known size: what is in use is told range by range when it does not fit at once. */

import { ID_BYTES } from './object.ts';

const FIRST_SLOTS = 4096;
/** Two of three slots may be taken. */
const LOAD = 2 / 3;
const PREFIXES = 0x10000;

export class IdSet {
  #ids: Buffer;
  #isTaken: Uint8Array;
  #slots: number;
  #size = 0;

  constructor(slots: number = FIRST_SLOTS) {
    this.#slots = slots;
    this.#ids = Buffer.alloc(slots * ID_BYTES);
    this.#isTaken = new Uint8Array(slots);
  }

  get size(): number {
    return this.#size;
  }

  /** @returns true when it was not there */
  add(bytes: Buffer, offset = 0): boolean {
    if (this.#size + 1 > this.#slots * LOAD) this.#grow();
    const slot = this.#find(bytes, offset);
    if (this.#isTaken[slot] === 1) return false;
    bytes.copy(this.#ids, slot * ID_BYTES, offset, offset + ID_BYTES);
    this.#isTaken[slot] = 1;
    this.#size += 1;
    return true;
  }

  has(bytes: Buffer, offset = 0): boolean {
    return this.#isTaken[this.#find(bytes, offset)] === 1;
  }

  /** Each id, in no order; valid until the next change. */
  *[Symbol.iterator](): Generator<Buffer> {
    for (let slot = 0; slot < this.#slots; slot += 1)
      if (this.#isTaken[slot] === 1) yield this.#ids.subarray(slot * ID_BYTES, (slot + 1) * ID_BYTES);
  }

  /** Only those ids whose first 16 bits are below `prefix`. */
  below(prefix: number): IdSet {
    const rest = new IdSet();
    for (const id of this) if (id.readUInt16BE(0) < prefix) rest.add(id);
    return rest;
  }

  /** The slot of the id, or the free one where it belongs. */
  #find(bytes: Buffer, offset: number): number {
    // Ids are digests: any of their bytes are as good as a hash. The first ones are alike within a range.
    let slot = bytes.readUInt32BE(offset + 4) % this.#slots;
    while (
      this.#isTaken[slot] === 1 &&
      bytes.compare(this.#ids, slot * ID_BYTES, (slot + 1) * ID_BYTES, offset, offset + ID_BYTES) !== 0
    )
      slot = (slot + 1) % this.#slots;
    return slot;
  }

  #grow(): void {
    const larger = new IdSet(this.#slots * 2);
    for (const id of this) larger.add(id);
    this.#ids = larger.#ids;
    this.#isTaken = larger.#isTaken;
    this.#slots = larger.#slots;
  }
}

export interface IdRange {
  /** First 16 bits of the ids of this range: from `low` up to and without `high`. */
  readonly low: number;
  readonly high: number;
  readonly ids: IdSet;
}

/** All ids that `scan` tells, once each, in ranges of at most `maxIds`. `scan` is called once for each range. */
export async function* idRanges(
  maxIds: number,
  scan: (visit: (bytes: Buffer, offset: number) => void) => Promise<void>,
): AsyncGenerator<IdRange> {
  for (let low = 0; low < PREFIXES; ) {
    let high = PREFIXES;
    let ids = new IdSet();
    await scan((bytes, offset) => {
      const prefix = bytes.readUInt16BE(offset);
      if (prefix < low || prefix >= high) return;
      ids.add(bytes, offset);
      // A range of one prefix is not divided: 65,536 such would have to be full first.
      while (ids.size > maxIds && high - low > 1) {
        high = low + Math.ceil((high - low) / 2);
        ids = ids.below(high);
      }
    });
    yield { low, high, ids };
    low = high;
  }
}
