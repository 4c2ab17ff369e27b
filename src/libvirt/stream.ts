/** One libvirt stream as a Node Duplex: console, screenshot, upload, download. Holes of sparse streams are items of their own.
 *  Reading it slowly stops its whole connection, so each stream has a connection to itself (`host.ts`). */

import { Duplex, type DuplexOptions } from 'node:stream';
import { messageOf } from '#kernel/errors.ts';
import { LibvirtError } from './errors.ts';
import { MAX_STREAM_DATA_BYTES } from './frame.ts';
import type { StreamDirection } from './table.ts';

/** A run of zeros in a sparse stream. It is part of the data: who ignores it gets a shifted file. */
export interface Hole {
  readonly holeBytes: number;
}

export function isHole(item: unknown): item is Hole {
  return typeof item === 'object' && item !== null && 'holeBytes' in item;
}

/** What a stream needs of its connection. */
export interface StreamLink {
  /** Calls back when the bytes are accepted and more may come. */
  sendData(parts: readonly Uint8Array[], accepted: (error?: Error | null) => void): void;
  sendHole(lengthBytes: number, accepted: (error?: Error | null) => void): void;
  sendFinish(): void;
  sendAbort(): void;
  pauseReading(): void;
  resumeReading(): void;
  /** The stream is over; its serial means nothing any more. */
  release(): void;
}

/** Looks whether what was sent is there. */
export interface UploadCheck {
  /** @param item valid during the call only */
  sent(item: Uint8Array | Hole): void;
  /** @throws when it is not */
  confirm(): Promise<void>;
}

/** Not sparse: chunks are Buffers. Sparse: chunks are Buffers and Holes, both ways.
 *  'finish' comes only after the host confirmed the upload; 'end' after it confirmed the download. `destroy()` aborts. */
export class LibvirtStream extends Duplex {
  readonly #link: StreamLink;
  #phase: 'open' | 'finishing' | 'over' = 'open';
  readonly #direction: StreamDirection;
  #onConfirmed: ((error?: Error) => void) | null = null;
  #upload: UploadCheck | null = null;
  #onReleased: (() => void) | null = null;
  #sink: ((item: Buffer | Hole) => boolean) | null = null;
  #isFull = false;

  constructor(link: StreamLink, direction: StreamDirection, isSparse: boolean) {
    super(duplexOptions(direction, isSparse));
    this.#link = link;
    this.#direction = direction;
  }

  /** Before anything is written: 'finish' comes only when `check.confirm` resolves too, which is called after the host confirmed. */
  checkUpload(check: UploadCheck): void {
    this.#upload = check;
  }

  override _read(): void {
    if (!this.#isFull) this.#link.resumeReading();
  }

  override _write(chunk: Uint8Array | Hole, _encoding: string, done: (error?: Error | null) => void): void {
    this._writev([{ chunk }], done);
  }

  /** Chunks share frames and are cut where a frame is full: each frame costs the host a wake-up. All leave together; what is
   *  written at once is bounded by the high-water mark. */
  override _writev(items: { chunk: Uint8Array | Hole }[], done: (error?: Error | null) => void): void {
    if (this.#upload) for (const { chunk } of items) this.#upload.sent(chunk);
    const frames = [...framesOf(items.map(({ chunk }) => chunk))];
    for (const [index, piece] of frames.entries()) {
      const accepted = index === frames.length - 1 ? done : () => undefined;
      if (isHole(piece)) this.#link.sendHole(piece.holeBytes, accepted);
      else this.#link.sendData(piece, accepted);
    }
    if (frames.length === 0) done();
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#phase === 'over') {
      done();
      return;
    }
    this.#onConfirmed = done;
    this.#finish();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#confirm(error ?? new Error('the stream was destroyed'));
    if (this.#phase === 'over') {
      done(error);
      return;
    }
    this.#onReleased = () => done(error);
    this.#link.resumeReading();
    this.#link.sendAbort();
  }

  #finish(): void {
    if (this.#phase !== 'open') return;
    this.#phase = 'finishing';
    this.#link.resumeReading();
    this.#link.sendFinish();
  }

  /** Hands all further data to `sink` instead of readers. A chunk is valid only during the call; when the sink returns false,
   *  no more comes until `continueReceiving`. */
  receiveInto(sink: (item: Buffer | Hole) => boolean): void {
    for (let item: Buffer | Hole | null = this.read(); item !== null; item = this.read()) sink(item);
    this.#sink = sink;
    this.#link.resumeReading();
  }

  continueReceiving(): void {
    this.#isFull = false;
    this.#link.resumeReading();
  }

  /** For the connection: data came. @returns whether the chunk is kept */
  receive(item: Buffer | Hole): boolean {
    if (this.destroyed || this.#phase === 'over') return false;
    if (this.#sink) {
      if (!this.#sink(item)) {
        this.#isFull = true;
        this.#link.pauseReading();
      }
      return false;
    }
    if (!this.push(item)) this.#link.pauseReading();
    return true;
  }

  /** For the connection: an empty frame or a reply came: the host's end of data, or its confirmation of our end or abort. */
  receiveEnd(): void {
    // libvirtd says so too when what it writes an upload to went away.
    if (this.#phase === 'open' && !this.destroyed && this.#direction === 'write')
      this.receiveError(
        new LibvirtError('no_space', {
          procedure: 'STREAM',
          detail: 'The host ended the upload before all was sent.',
          cause: new Error('libvirt gave no reason; most often there is no space left on the device'),
        }),
      );
    else if (this.#phase === 'open' && !this.destroyed) this.#finish();
    else this.#over();
  }

  /** For the connection: the host failed the stream, or the connection is lost. */
  receiveError(error: Error): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#link.release();
    if (this.#onReleased) this.#onReleased();
    else this.destroy(error);
  }

  #over(): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#link.release();
    if (this.#onReleased) {
      this.#onReleased();
      return;
    }
    if (this.readable || !this.readableEnded) this.push(null);
    const check = this.#upload?.confirm() ?? Promise.resolve();
    check.then(
      () => this.#confirm(),
      (error: unknown) => this.#confirm(error instanceof Error ? error : new Error(messageOf(error))),
    );
  }

  #confirm(error?: Error): void {
    const confirmed = this.#onConfirmed;
    this.#onConfirmed = null;
    confirmed?.(error);
  }
}

/** The pieces of each frame: data up to the frame's limit, or a hole. */
function* framesOf(chunks: readonly (Uint8Array | Hole)[]): Generator<Uint8Array[] | Hole, undefined> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for (const chunk of chunks) {
    if (isHole(chunk)) {
      if (size > 0) yield parts;
      parts = [];
      size = 0;
      yield chunk;
      continue;
    }
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + MAX_STREAM_DATA_BYTES - size);
      parts.push(part);
      at += part.length;
      size += part.length;
      if (size < MAX_STREAM_DATA_BYTES) continue;
      yield parts;
      parts = [];
      size = 0;
    }
  }
  if (size > 0) yield parts;
}

function duplexOptions(
  direction: StreamDirection,
  isSparse: boolean,
): DuplexOptions & { readable: boolean; writable: boolean } {
  const mark = 4 * MAX_STREAM_DATA_BYTES;
  return {
    readable: direction !== 'write',
    writable: direction !== 'read',
    allowHalfOpen: false,
    ...(isSparse
      ? { readableObjectMode: true, writableObjectMode: true }
      : { readableHighWaterMark: mark, writableHighWaterMark: mark }),
  };
}
