/** The last bytes of an upload that are not zeros. libvirt 9.0 confirms an upload although its last writes failed: what the thread that
 *  writes ran into is lost when the end of the data was there before (measured on a full disk; virsh is told the same). It writes in
 *  order and stops at the first failure, so an upload is whole when its end is in the volume. Zeros prove nothing: a new volume reads
 *  as zeros where nothing was written. */

import { type Hole, isHole } from './stream.ts';

/** Enough that what lay there before does not look alike by chance. */
const TAIL_BYTES = 4_096;
const ZEROS = Buffer.alloc(TAIL_BYTES);

export interface Tail {
  /** From the beginning of the upload. */
  readonly atBytes: number;
  readonly bytes: Buffer;
}

export class UploadTail {
  readonly #buffer = Buffer.alloc(TAIL_BYTES);
  #tail: Tail | null = null;
  #sentBytes = 0;

  /** Takes what is sent, in order. @param item valid during the call only */
  add(item: Uint8Array | Hole): void {
    if (isHole(item)) {
      this.#sentBytes += item.holeBytes;
      return;
    }
    const end = lastPieceWithData(item);
    if (end > 0) {
      const from = Math.max(0, end - TAIL_BYTES);
      this.#buffer.set(item.subarray(from, end));
      this.#tail = { atBytes: this.#sentBytes + from, bytes: this.#buffer.subarray(0, end - from) };
    }
    this.#sentBytes += item.length;
  }

  /** null when nothing but zeros was sent. */
  get last(): Tail | null {
    return this.#tail;
  }
}

/** Where the last piece ends that is not all zeros; 0 when there is none. */
function lastPieceWithData(data: Uint8Array): number {
  for (let end = data.length; end > 0; end -= TAIL_BYTES) {
    const piece = data.subarray(Math.max(0, end - TAIL_BYTES), end);
    if (!ZEROS.subarray(0, piece.length).equals(piece)) return end;
  }
  return 0;
}
