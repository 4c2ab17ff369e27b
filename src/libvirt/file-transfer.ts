/** Files up and down with two buffers in turn: a pipeline of Node's file streams makes new buffers all the time, and collecting
 *  them costs more than half of the processor time of a transfer (measured). */

import { type FileHandle, open } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { MAX_STREAM_DATA_BYTES } from './frame.ts';
import { type Hole, isHole, type LibvirtStream } from './stream.ts';

const BUFFER_BYTES = 4 * MAX_STREAM_DATA_BYTES;

export interface FileTransferOptions {
  /** Told how many bytes have passed so far, holes included. */
  readonly onProgress?: (passedBytes: number) => void;
  readonly signal?: AbortSignal;
}

/** Resolves when the host has confirmed the whole file. On failure the stream is aborted; the volume then holds a part.
 *  @throws the system's error of the file, LibvirtError of the stream, or the signal's reason */
export async function sendFile(stream: LibvirtStream, path: string, options: FileTransferOptions = {}): Promise<void> {
  const done = finished(stream, { readable: false });
  done.catch(() => undefined); // awaited below; it may fail while a read is awaited
  try {
    await using file = await open(path, 'r');
    const buffers = [Buffer.allocUnsafeSlow(BUFFER_BYTES), Buffer.allocUnsafeSlow(BUFFER_BYTES)] as const;
    let taken: Promise<void> = Promise.resolve();
    for (let sentBytes = 0, turn = 0; ; turn += 1) {
      options.signal?.throwIfAborted();
      const { bytesRead, buffer } = await file.read(buffers[turn % 2 === 0 ? 0 : 1], 0, BUFFER_BYTES);
      await taken; // the other buffer is free again
      if (bytesRead === 0) break;
      sentBytes += bytesRead;
      taken = write(stream, buffer.subarray(0, bytesRead));
      taken.catch(() => undefined); // awaited in the next turn
      options.onProgress?.(sentBytes);
    }
    stream.end();
    await done;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

function write(stream: LibvirtStream, chunk: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, (error) => (error ? reject(error) : resolve()));
  });
}

/** Writes a download to a new file; holes of a sparse stream become holes of the file. Resolves when all is written.
 *  On failure the file holds a part.
 *  @throws the system's error of the file, LibvirtError of the stream, or the signal's reason */
export async function receiveFile(
  stream: LibvirtStream,
  path: string,
  options: FileTransferOptions = {},
): Promise<void> {
  const onAbort = () =>
    stream.destroy(options.signal?.reason instanceof Error ? options.signal.reason : new Error('aborted'));
  options.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    options.signal?.throwIfAborted();
    await using file = await open(path, 'wx');
    const writer = new BufferedWriter(file, () => stream.continueReceiving());
    stream.receiveInto((item) => writer.take(item));
    const ended = finished(stream, { writable: false });
    stream.resume(); // so that 'end' comes
    await Promise.all([ended.then(() => writer.end()), writer.run(options.onProgress)]);
  } catch (error) {
    stream.destroy();
    throw error;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
  }
}

interface Full {
  readonly buffer: Buffer;
  readonly usedBytes: number;
  readonly position: number;
}

/** Fills one buffer while the other is being written. */
class BufferedWriter {
  readonly #file: FileHandle;
  readonly #onRoom: () => void;
  readonly #spare: Buffer[] = [Buffer.allocUnsafeSlow(BUFFER_BYTES), Buffer.allocUnsafeSlow(BUFFER_BYTES)];
  readonly #full: Full[] = [];
  /** What came while both buffers were full: no more than one read of the socket. */
  #waiting: (Buffer | Hole)[] = [];
  #current: Buffer | null = null;
  #usedBytes = 0;
  #position = 0;
  #isEnded = false;
  #wake: () => void = () => undefined;

  constructor(file: FileHandle, onRoom: () => void) {
    this.#file = file;
    this.#onRoom = onRoom;
  }

  /** @returns false when no more should come for now; what was given is taken in any case */
  take(item: Buffer | Hole): boolean {
    const rest = this.#waiting.length > 0 ? item : this.#put(item);
    if (rest === null) return true;
    this.#waiting.push(isHole(rest) ? rest : Buffer.from(rest));
    return false;
  }

  end(): void {
    this.#isEnded = true;
    this.#wake();
  }

  async run(onProgress?: (passedBytes: number) => void): Promise<void> {
    for (;;) {
      const next = this.#full.shift();
      if (next) {
        await writeAll(this.#file, next);
        onProgress?.(next.position + next.usedBytes);
        this.#spare.push(next.buffer);
        this.#takeWaiting();
      } else if (this.#isEnded && this.#waiting.length === 0) {
        if (this.#usedBytes === 0) break;
        this.#close();
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    await this.#file.truncate(this.#position); // a hole at the end
    onProgress?.(this.#position);
  }

  #takeWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.map((item) => this.take(item)).every(Boolean)) this.#onRoom();
  }

  /** @returns what did not fit */
  #put(item: Buffer | Hole): Buffer | Hole | null {
    if (isHole(item)) {
      this.#close();
      this.#position += item.holeBytes;
      return null;
    }
    for (let at = 0; at < item.length; ) {
      this.#current ??= this.#spare.pop() ?? null;
      if (!this.#current) return item.subarray(at);
      const count = item.copy(this.#current, this.#usedBytes, at);
      at += count;
      this.#usedBytes += count;
      if (this.#usedBytes === this.#current.length) this.#close();
    }
    return null;
  }

  #close(): void {
    if (!this.#current) return;
    this.#full.push({ buffer: this.#current, usedBytes: this.#usedBytes, position: this.#position });
    this.#position += this.#usedBytes;
    this.#current = null;
    this.#usedBytes = 0;
    this.#wake();
  }
}

async function writeAll(file: FileHandle, { buffer, usedBytes, position }: Full): Promise<void> {
  for (let at = 0; at < usedBytes; ) {
    const { bytesWritten } = await file.write(buffer, at, usedBytes - at, position + at);
    at += bytesWritten;
  }
}
