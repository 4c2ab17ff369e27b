/** The last bytes of a stream, in fixed memory. */

export interface RingBuffer {
  push(chunk: Uint8Array): void;
  /** A copy of what is held, oldest first; with `maxBytes` only the newest of it. */
  tail(maxBytes?: number): Buffer;
  /** How many bytes were ever pushed. */
  readonly totalBytes: number;
}

export function createRingBuffer(capacityBytes: number): RingBuffer {
  // Grows with what it holds: most consoles print a few KiB.
  let store = Buffer.alloc(Math.min(capacityBytes, 4096));
  let totalBytes = 0;

  const held = () => Math.min(totalBytes, store.length);
  const copyTail = (wanted: number): Buffer => {
    const begin = (totalBytes - wanted) % store.length;
    const first = store.subarray(begin, Math.min(begin + wanted, store.length));
    return Buffer.concat([first, store.subarray(0, wanted - first.length)]);
  };
  const grow = (needed: number) => {
    const content = copyTail(held());
    store = Buffer.alloc(Math.min(capacityBytes, Math.max(needed, store.length * 2)));
    totalBytes -= content.length;
    write(content);
  };
  const write = (chunk: Uint8Array) => {
    const kept = chunk.length > store.length ? chunk.subarray(chunk.length - store.length) : chunk;
    const begin = (totalBytes + chunk.length - kept.length) % store.length;
    const first = kept.subarray(0, store.length - begin);
    store.set(first, begin);
    store.set(kept.subarray(first.length), 0);
    totalBytes += chunk.length;
  };

  return {
    push(chunk) {
      if (store.length < capacityBytes && totalBytes + chunk.length > store.length) grow(totalBytes + chunk.length);
      write(chunk);
    },
    tail: (maxBytes = capacityBytes) => copyTail(Math.min(held(), maxBytes)),
    get totalBytes() {
      return totalBytes;
    },
  };
}
