/** Memory of chunks, given back at once: the collector sees small objects where each holds a megabyte, and waits until there are hundreds. */

/** Nobody may look at the bytes afterwards, nor at anything else in the same buffer. */
export function giveBack({ buffer }: Uint8Array): void {
  // What is smaller may lie in Node's pool, among what others use.
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}
