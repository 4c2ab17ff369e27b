/** Bytes of a peer in the amounts that the protocol asks for, read where they are wanted instead of joined afterwards.
 *  Stops reading from the socket while nobody wants what is already there. Knows nothing of NBD. */

import type { OnReadOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What the socket reads into while nobody waits for much. */
const SLAB_BYTES = 65_536;
const LEAST_READ_BYTES = 4_096;
/** Unread bytes at which reading stops. */
const UNREAD_LIMIT_BYTES = 65_536;
/** From here on the socket reads straight to where the bytes are wanted. */
const LEAST_DIRECT_BYTES = 16_384;

interface Waiting {
  readonly into: Buffer;
  filledBytes: number;
  resolve(): void;
  reject(error: Error): void;
}

export class ByteReader {
  #unread: Buffer[] = [];
  #unreadBytes = 0;
  #waiting: Waiting | null = null;
  #ended: Error | null = null;
  #stream: Duplex | null = null;
  #isPaused = false;
  #slab = Buffer.allocUnsafeSlow(0);
  #direct: Buffer | null = null;

  /** For sockets that are yet to be made: the option `onread`, after which `attach` is still to be called. */
  directReads(): OnReadOpts {
    return {
      buffer: () => this.#nextBuffer(),
      callback: (count, buffer) => {
        if (buffer === this.#direct) this.#advance(count);
        else this.#push(Buffer.from(buffer.buffer, buffer.byteOffset, count));
        return !this.#isPaused;
      },
    };
  }

  /** Reads from `stream` from now on. When it ends, whoever waits hears the error that `describeEnd` makes of it. */
  attach(stream: Duplex | Socket, describeEnd: (cause?: Error) => Error): void {
    this.#stream = stream;
    stream.on('error', (error) => this.fail(describeEnd(error)));
    stream.on('end', () => this.fail(describeEnd()));
    stream.on('close', () => this.fail(describeEnd()));
  }

  /** Like `attach`, for streams that were made without `directReads`. */
  attachFlowing(stream: Duplex, describeEnd: (cause?: Error) => Error): void {
    this.attach(stream, describeEnd);
    stream.on('data', this.#onData);
  }

  /** Leaves the stream to another reader. Returns how many bytes came that nobody has read; they are lost. */
  detach(): number {
    this.#stream?.off('data', this.#onData);
    this.#stream = null;
    return this.#unreadBytes;
  }

  /** Fills all of `into`. One call at a time. Rejects when the stream ends before. */
  readInto(into: Buffer): Promise<void> {
    if (this.#waiting) return Promise.reject(new TypeError('somebody else is reading'));
    const filledBytes = this.#copyUnread(into);
    if (filledBytes === into.length) return Promise.resolve();
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#waiting = { into, filledBytes, resolve, reject };
      if (!this.#isPaused) return;
      this.#isPaused = false;
      this.#stream?.resume();
    });
  }

  /** The next `count` bytes in a buffer of their own; for small amounts. */
  async take(count: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(count);
    await this.readInto(bytes);
    return bytes;
  }

  /** Passes over `count` bytes without keeping them. */
  async skip(count: number): Promise<void> {
    const scratch = Buffer.allocUnsafe(Math.min(count, SLAB_BYTES));
    for (let left = count; left > 0; left -= Math.min(left, scratch.length))
      await this.readInto(scratch.subarray(0, Math.min(left, scratch.length)));
  }

  /** Ends the reading: what is unread can still be read, then every read fails with this error. */
  fail(error: Error): void {
    this.#ended ??= error;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(this.#ended);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#push(chunk);
    if (this.#isPaused) this.#stream?.pause();
  };

  #push(chunk: Buffer): void {
    const waiting = this.#waiting;
    let at = 0;
    if (waiting) {
      at = chunk.copy(waiting.into, waiting.filledBytes);
      this.#advance(at);
    }
    if (at === chunk.length) return;
    this.#unread.push(chunk.subarray(at));
    this.#unreadBytes += chunk.length - at;
    if (this.#unreadBytes >= UNREAD_LIMIT_BYTES) this.#isPaused = true;
  }

  #advance(count: number): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    waiting.filledBytes += count;
    if (waiting.filledBytes < waiting.into.length) return;
    this.#waiting = null;
    waiting.resolve();
  }

  #copyUnread(into: Buffer): number {
    let filled = 0;
    let whole = 0;
    for (const chunk of this.#unread) {
      if (filled === into.length) break;
      const copied = chunk.copy(into, filled);
      filled += copied;
      if (copied < chunk.length) {
        this.#unread[whole] = chunk.subarray(copied);
        break;
      }
      whole += 1;
    }
    if (whole > 0) this.#unread.splice(0, whole);
    this.#unreadBytes -= filled;
    return filled;
  }

  /** Asked for by Node after each read, also while it pauses: what is given here is written to next, so it must be nobody's. */
  #nextBuffer(): Buffer {
    const waiting = this.#waiting;
    if (waiting && waiting.into.length - waiting.filledBytes >= LEAST_DIRECT_BYTES) {
      this.#direct = waiting.into.subarray(waiting.filledBytes);
      return this.#direct;
    }
    this.#direct = null;
    const last = this.#unread.at(-1);
    const isSlabInUse = last !== undefined && last.buffer === this.#slab.buffer;
    const at = isSlabInUse ? last.byteOffset + last.length : 0;
    if (this.#slab.length - at < LEAST_READ_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      return this.#slab;
    }
    return this.#slab.subarray(at);
  }
}
