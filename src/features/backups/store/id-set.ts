/** A set of ids in memory: 33 bytes for each slot, of which at most two of three are taken. */

import { ID_BYTES } from './object.ts';

const FIRST_SLOTS = 4096;
/** Two of three slots may be taken. */
const LOAD = 2 / 3;

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

  /** @param bytes ids one after the other */
  addAll(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += ID_BYTES) this.add(bytes, at);
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
    const start = bytes.readUInt32LE(offset + 4);
    let slot = start % this.#slots;
    // Most that meet in a slot differ in these four bytes already, which costs less to see than a call.
    while (
      this.#isTaken[slot] === 1 &&
      (this.#ids.readUInt32LE(slot * ID_BYTES + 4) !== start ||
        bytes.compare(this.#ids, slot * ID_BYTES, (slot + 1) * ID_BYTES, offset, offset + ID_BYTES) !== 0)
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
